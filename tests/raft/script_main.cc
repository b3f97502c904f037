// Runs every *.script of a folder and reports each as a test, in TAP. IRIS_REWRITE=1 writes the
// prints back instead of comparing them.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "tests/raft/script.h"

namespace {

std::string read_file(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream bytes;
  bytes << file.rdbuf();
  return bytes.str();
}

// The first line that differs, with what was expected there.
void show_difference(const std::string& expected, const std::string& actual) {
  std::istringstream expected_lines(expected);
  std::istringstream actual_lines(actual);
  std::string command;
  for (int number = 1;; ++number) {
    std::string left;
    std::string right;
    const bool has_left = static_cast<bool>(std::getline(expected_lines, left));
    const bool has_right = static_cast<bool>(std::getline(actual_lines, right));
    if (!has_left && !has_right) return;
    if (has_left && has_right && left == right) continue;
    std::printf("# line %d\n#   expected: %s\n#   printed:  %s\n", number, left.c_str(),
                right.c_str());
    return;
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: %s FOLDER [NAME...]\n", argv[0]);
    return 2;
  }
  std::vector<std::filesystem::path> paths;
  for (const auto& file : std::filesystem::directory_iterator(argv[1])) {
    const std::string stem = file.path().stem().string();
    const bool is_named =
        argc == 2 || std::any_of(argv + 2, argv + argc,
                                 [&stem](const char* name) { return stem.starts_with(name); });
    if (file.path().extension() == ".script" && is_named) paths.push_back(file.path());
  }
  std::sort(paths.begin(), paths.end());
  const char* rewrite = std::getenv("IRIS_REWRITE");
  const bool rewrites = rewrite != nullptr && std::string(rewrite) == "1";
  std::printf("1..%zu\n", paths.size());
  int failures = paths.empty() ? 1 : 0;
  for (std::size_t at = 0; at < paths.size(); ++at) {
    std::fprintf(stderr, "%s\n", paths[at].stem().c_str());  // names the script if it aborts
    const std::string expected = read_file(paths[at]);
    const std::string actual = iris::raft::test::run_script(expected);
    const bool holds = expected == actual;
    if (!holds && rewrites) std::ofstream(paths[at], std::ios::binary) << actual;
    std::printf("%s %zu - %s\n", holds || rewrites ? "ok" : "not ok", at + 1,
                paths[at].stem().c_str());
    if (holds || rewrites) continue;
    ++failures;
    show_difference(expected, actual);
  }
  return failures == 0 ? 0 : 1;
}
