// The common part of the tests of iris-cli: the built program, run against a fake node or none.
// Test thread.
#pragma once

#include <chrono>
#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tests/catch.h"
#include "tests/client/fake_iris.h"
#include "tests/client/program.h"

namespace iris::test {

using Words = std::vector<std::string>;

// A node and the flags that lead to it.
struct Fixture {
  std::shared_ptr<FakeCluster> cluster = std::make_shared<FakeCluster>();
  FakeIris node{cluster};

  [[nodiscard]] Words line(Words words) const {
    const bool two = words[0] == "member" || words[0] == "leader";
    words.insert(words.begin() + (two ? 2 : 1), {"-insecure", "-addr", node.address()});
    words.insert(words.begin(), IRIS_CLI);
    return words;
  }
  [[nodiscard]] Ended cli(Words words, Program::How how = {}) const {
    return run(line(std::move(words)), std::move(how));
  }
};

// Without a node to lead to.
inline Ended cli(Words words, Program::How how = {}) {
  words.insert(words.begin(), IRIS_CLI);
  return run(std::move(words), std::move(how));
}

inline std::string dead_address() { return FakeIris(std::make_shared<FakeCluster>()).address(); }

inline bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

// A folder of its own, gone with the test.
struct Folder {
  std::filesystem::path path;
  Folder() {
    std::string name = (std::filesystem::temp_directory_path() / "iris-cli-XXXXXX").string();
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    path = name;
  }
  ~Folder() { std::filesystem::remove_all(path); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  [[nodiscard]] std::string file(const std::string& name) const { return (path / name).string(); }
};

inline std::string read_file(const std::string& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

// Until `done`, at most 10 s.
template <class Done>
[[nodiscard]] bool await(Done done) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (!done()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return true;
}

}  // namespace iris::test
