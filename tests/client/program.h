// Program: runs one of our programs as a user would, and sees what it prints and how it ends. One
// thread. Owns the process: it is killed when this object goes, should it still run.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <map>
#include <string>
#include <vector>

namespace iris::test {

struct Ended {
  int code = -1;  // of exit; 128 + the signal that ended it
  std::string out;
  std::string err;
};

class Program {
 public:
  struct How {
    std::string input;                                    // on stdin
    std::map<std::string, std::string> environment = {};  // besides PATH
    bool terminal = false;                                // stdout is one
  };
  // REQUIRES: arguments[0] is the path of the program.
  explicit Program(std::vector<std::string> arguments, How how);
  explicit Program(std::vector<std::string> arguments) : Program(std::move(arguments), How{}) {}
  ~Program();
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  // Until so many lines stand on stdout, or `text` on stderr; false after 10 s.
  [[nodiscard]] bool await_out(std::size_t lines);
  [[nodiscard]] bool await_err(const std::string& text);
  void signal(int number) const;
  [[nodiscard]] const std::string& out() const { return out_; }
  [[nodiscard]] const std::string& err() const { return err_; }
  // Until it ends; killed after 20 s (code 128 + 9).
  [[nodiscard]] Ended wait();

 private:
  // Reads what there is, waiting for the first of it. False: nothing more will come, or the
  // deadline.
  bool read_some(std::chrono::steady_clock::time_point deadline);

  pid_t child_ = -1;
  int out_file_ = -1;
  int err_file_ = -1;
  std::string out_;
  std::string err_;
};

// To the end.
[[nodiscard]] Ended run(std::vector<std::string> arguments, Program::How how);
[[nodiscard]] inline Ended run(std::vector<std::string> arguments) {
  return run(std::move(arguments), Program::How{});
}

}  // namespace iris::test
