"""clang-tidy over every tracked .cc file, on all processors it may use. Run by scripts/lint: tidy.py BUILD_FOLDER [FILE...].

BUILD_FOLDER is configured and its generated headers exist. Findings are printed as they come, progress to standard
error; the last line says how many files were read and how many have findings, and the exit code is 0 only if every
file is clean. A file that the build does not know and a header that no file includes are findings too.

A whole pass takes long, so BUILD_FOLDER/tidy.json remembers what was found clean: a hash of the checks, the compile
command, the file and all of ours that it includes. Such a file is not read again until one of these changes, and a
pass that was stopped goes on where it was. Delete it to read everything again, as after an update of system headers.
"""
import concurrent.futures
import hashlib
import json
import os
import re
import subprocess
import sys
import time

# The commands are GCC's: some of its warnings clang does not have. Our headers are reached as our own even where the
# build passes the root as a system folder (for generated headers), else findings in them would be dropped.
EXTRA_ARGUMENTS = ["--extra-arg=-Wno-unknown-warning-option", f"--extra-arg=-iquote{os.getcwd()}"]
PROGRESS_SECONDS = 20


def tracked(*patterns):
    files = subprocess.run(["git", "ls-files", *patterns], capture_output=True, text=True, check=True)
    return files.stdout.split()


def commands_of(folder):
    """File, from the root -> its compile commands (a file that is in two programs has two)."""
    commands = {}
    with open(f"{folder}/compile_commands.json", encoding="utf-8") as file:
        for entry in json.load(file):
            path = os.path.relpath(os.path.join(entry["directory"], entry["file"]))
            commands.setdefault(path, []).append(entry["command"])
    return commands


class Sources:
    """What each file includes of ours, and the hashes of it."""

    def __init__(self):
        self._read = {}

    def _content(self, path):
        """The hash of a file, and those of ours that it includes. Generated headers stand for their .proto."""
        if path not in self._read:
            with open(path, "rb") as file:
                text = file.read()
            names = re.findall(r'^\s*#\s*include\s*"([^"]+)"', text.decode(), re.MULTILINE)
            names = [re.sub(r"^(proto/\w+)\.(grpc\.)?pb\.h$", r"\1.proto", name) for name in names]
            self._read[path] = hashlib.sha256(text).hexdigest(), [name for name in names if os.path.exists(name)]
        return self._read[path]

    def reached(self, path):
        """The file and everything of ours that it includes, directly or not."""
        found, todo = {path}, [path]
        while todo:
            for name in self._content(todo.pop())[1]:
                if name not in found:
                    found.add(name)
                    todo.append(name)
        return sorted(found)

    def hashes(self, path):
        return [(name, self._content(name)[0]) for name in self.reached(path)]


class Clean:
    """The files that were found clean, each with the hash of what was read then; on disk after every change."""

    def __init__(self, path):
        self._path = path
        try:
            with open(path, encoding="utf-8") as file:
                self._keys = json.load(file)
        except (FileNotFoundError, json.JSONDecodeError):
            self._keys = {}

    def has(self, name, key):
        return self._keys.get(name) == key

    def add(self, name, key):
        self._keys[name] = key
        with open(self._path + ".new", "w", encoding="utf-8") as file:
            json.dump(self._keys, file, indent=0, sort_keys=True)
        os.replace(self._path + ".new", self._path)


def run(folder, path):
    """Returns the findings of one file, "" for none. A clang-tidy that failed without a finding is one."""
    done = subprocess.run(["clang-tidy", "-p", folder, "--quiet", *EXTRA_ARGUMENTS, path], capture_output=True, text=True)
    if done.returncode == 0 and not done.stdout.strip():
        return ""
    return done.stdout.strip() or f"{path}: clang-tidy failed ({done.returncode}): {done.stderr.strip()}"


def read_all(folder, keys, clean):
    """Reads the files of `keys`; returns how many have findings."""
    unclean, told = 0, time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        runs = {pool.submit(run, folder, path): path for path in keys}
        try:
            for count, future in enumerate(concurrent.futures.as_completed(runs), 1):
                path = runs[future]
                if findings := future.result():
                    unclean += 1
                    print(findings, flush=True)
                else:
                    clean.add(path, keys[path])
                if time.monotonic() - told >= PROGRESS_SECONDS or count == len(runs):
                    told = time.monotonic()
                    print(f"clang-tidy: {count} of {len(runs)} files read, {unclean} with findings", file=sys.stderr)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return unclean


def main(folder, chosen):
    commands, sources, clean = commands_of(folder), Sources(), Clean(f"{folder}/tidy.json")
    version = subprocess.run(["clang-tidy", "--version"], capture_output=True, text=True, check=True).stdout
    with open(".clang-tidy", encoding="utf-8") as file:
        checks = file.read()
    files = chosen or tracked("*.cc")

    unknown = [f"{path}: not in the build {folder}, so nothing can be said of it" for path in files if path not in commands]
    if not chosen:
        included = {name for path in files for name in sources.reached(path)}
        unknown += [f"{path}: no file includes it, so nothing can be said of it" for path in tracked("*.h") if path not in included]
    if unknown:
        print("\n".join(unknown), flush=True)

    keys = {}
    for path in files:
        if path in commands:
            text = json.dumps([version, checks, EXTRA_ARGUMENTS, commands[path], sources.hashes(path)])
            keys[path] = hashlib.sha256(text.encode()).hexdigest()
    unread = {path: key for path, key in keys.items() if not clean.has(path, key)}
    unclean = read_all(folder, unread, clean)
    print(f"clang-tidy: {len(files)} files: {len(unread)} read now, {len(keys) - len(unread)} unchanged since they were found clean; "
          f"{unclean + len(unknown)} with findings")
    return 1 if unclean or unknown else 0


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit("usage: tidy.py BUILD_FOLDER [FILE...]")
    try:
        sys.exit(main(sys.argv[1], sys.argv[2:]))
    except KeyboardInterrupt:
        sys.exit("clang-tidy: stopped; what was found clean is remembered")
