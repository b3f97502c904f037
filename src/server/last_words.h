// LastWords: the reason in the log where an exception ends the process: no memory, no thread. A
// fault of the program itself (CHECK) still aborts and leaves a core dump.
// Any thread; for the whole process.
#pragma once

namespace iris {

// From here on an exception that nobody catches is one line in the log and the exit code 1.
void say_last_words();

}  // namespace iris
