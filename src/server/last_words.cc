#include "src/server/last_words.h"

#include <unistd.h>

#include <cstdlib>
#include <exception>
#include <new>
#include <string>
#include <system_error>

#include "src/base/log.h"
#include "src/server/server.h"

namespace iris {
namespace {

// "" where the program itself is at fault.
std::string reason_of(const std::exception_ptr& thrown) {
  try {
    if (thrown) std::rethrow_exception(thrown);
  } catch (const std::bad_alloc&) {
    return "out of memory (the machine's, or a limit: ulimit -v, MemoryMax of a unit)";
  } catch (const std::system_error& error) {
    const bool thread = error.code() == std::errc::resource_unavailable_try_again;
    return error.code().message() +
           (thread ? ": no further thread can be made (memory, ulimit -u, TasksMax of a unit)"
                   : std::string());
  } catch (...) {
  }
  return {};
}

[[noreturn]] void on_terminate() {
  try {
    const std::string reason = reason_of(std::current_exception());
    if (!reason.empty()) {
      log(LogLevel::error, "this node cannot go on", {{"reason", reason}});
      ::_exit(exit_failure);
    }
  } catch (...) {  // not even a line of the log fits the memory
    constexpr char words[] = "iris: out of memory\n";
    static_cast<void>(!::write(STDERR_FILENO, words, sizeof words - 1));
    ::_exit(exit_failure);
  }
  std::abort();
}

}  // namespace

void say_last_words() { std::set_terminate(on_terminate); }

}  // namespace iris
