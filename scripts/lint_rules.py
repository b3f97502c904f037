"""The house rules that no linter knows. Run by scripts/lint: lint_rules.py --list | RULE.

A rule prints one line per finding and the exit code says whether there was one.
"""
import re
import subprocess
import sys

FILE_LINES_MAX = 500
FUNCTION_LINES_MAX = 70
# A file that is longer, or holds a longer function, says why in its first lines with these words.
LONG_FILE_REASON = "Long file:"
LONG_FUNCTION_REASON = "Long function:"


def tracked(*patterns):
    files = subprocess.run(["git", "ls-files", *patterns], capture_output=True, text=True, check=True)
    return files.stdout.split()


def lines_of(path):
    with open(path, encoding="utf-8") as file:
        return file.read().splitlines()


def includes(path):
    for number, line in enumerate(lines_of(path), 1):
        match = re.match(r'\s*#\s*include\s*([<"])([^>"]+)[>"]', line)
        if match:
            yield number, match.group(1), match.group(2)


SRC_README = "src/README.md"


def src_rooms():
    """Who lives in src/: by row of its README's table, patterns of the paths named there (`node*`, `cli/`)."""
    for line in lines_of(SRC_README):
        cells = line.split("|")
        names = re.findall(r"`([^`]+)`", cells[2]) if len(cells) == 5 else []
        if names:
            stems = [name.replace("*", r"[\w/]*") + (r"[\w/]+" if name.endswith("/") else "") for name in names]
            yield cells[1].strip(), [rf"src/{stem}\.(h|cc)$" for stem in stems]


# Who may include whom: (files, what they may not include, in words). Own headers are written "from/the/root.h".
OUTSIDE = r"asio|grpc|google/|rocksdb|openssl|nlohmann|systemd|proto/"
ROOMS = dict(src_rooms())
HOST = "|".join(ROOMS["the host of the core"])
DIRECTIONS = [
    (r"raft/", rf"(?!raft/).*/|{OUTSIDE}", "raft/ sees the standard library and itself only"),
    (r"store/.*\.h$", rf"{OUTSIDE}|src/|tests/", "a header of store/ sees raft/ and store/ only"),
    (r"store/.*\.cc$", r"asio|grpc|google/|nlohmann|systemd|proto/|src/|tests/", "store/ sees raft/, RocksDB and OpenSSL only"),
    (HOST, rf"{OUTSIDE}|(?!{HOST}|src/log\.h$)src/", "the host of the core sees itself, raft/, store/store.h and log.h only"),
    (HOST, r"store/(?!store\.h)", "the host of the core sees the abstract store only"),
    (r"(src|store|raft)/", r"tests/", "production code does not see tests/"),
    (r"(src/(?!api|completion|call|client|cli/|bench/|stela|formation|grpc_tls)).*", r"grpc|proto/iris|proto/stela", "gRPC is seen by api, client, stela, formation and grpc_tls only"),
]

IMPURE = (
    "chrono thread mutex shared_mutex atomic condition_variable future random fstream iostream filesystem "
    "ctime time.h unistd.h sys/types.h sys/stat.h sys/socket.h"
).split()


def rule_includes():
    for path in tracked("*.cc", "*.h"):
        for files, banned, words in DIRECTIONS:
            if re.match(files, path):
                for number, _, name in includes(path):
                    if re.match(banned, name):
                        yield f"{path}:{number}: includes {name}: {words}"


def rule_src_rooms():
    """Each file of src/ stands in the table of its README, which says what it may include; the table names no other."""
    paths = tracked("src/*.h", "src/*.cc")
    rooms = [(who, pattern) for who, patterns in ROOMS.items() for pattern in patterns]
    for path in paths:
        if not any(re.match(pattern, path) for _, pattern in rooms):
            yield f"{path}: is not in the table of {SRC_README}"
    for who, pattern in rooms:
        if not any(re.match(pattern, path) for path in paths):
            yield f"{SRC_README}: {who}: no file is {pattern}"


def rule_raft_purity():
    """House rule 1: raft/ knows no time, entropy, threads, wire bytes or files."""
    words = re.compile(r"\b(std::(chrono|thread|mutex|atomic|random_device|mt19937\w*|ofstream|ifstream|cout|cerr)|rand\(|time\(|clock_gettime|htonl|reinterpret_cast)")
    for path in tracked("raft/*.cc", "raft/*.h"):
        for number, kind, name in includes(path):
            if kind == "<" and name in IMPURE:
                yield f"{path}:{number}: includes <{name}>"
        for number, line in enumerate(lines_of(path), 1):
            if words.search(line.split("//")[0]):
                yield f"{path}:{number}: {line.strip()}"


def rule_file_length():
    for path in tracked("*.cc", "*.h", "*.py", "scripts/*"):
        lines = lines_of(path)
        if len(lines) > FILE_LINES_MAX and not any(LONG_FILE_REASON in line for line in lines[:15]):
            yield f"{path}: {len(lines)} lines (at most {FILE_LINES_MAX}, or '{LONG_FILE_REASON}' and the reason at its top)"


def rule_function_length():
    """Relies on clang-format: a body begins with a line that ends in '{' and ends with '}' at its indent."""
    head = re.compile(r"^(\s*)(?!.*\b(namespace|class|struct|enum|union|extern)\b)(\S.*)?\)\s*(const|noexcept|override|final|mutable|-> [\w:<>,\s*&]+|\s)*\{$")
    for path in tracked("*.cc", "*.h"):
        lines = lines_of(path)
        if any(LONG_FUNCTION_REASON in line for line in lines[:15]):
            continue
        for start, line in enumerate(lines):
            match = head.match(line)
            if not match:
                continue
            indent = match.group(1)
            # A head that was wrapped is indented further than the brace that closes its body.
            close = re.compile(rf"^ {{0,{len(indent)}}}\}}")
            end = next((i for i in range(start + 1, len(lines)) if close.match(lines[i])), start)
            if end - start - 1 > FUNCTION_LINES_MAX:
                yield f"{path}:{start + 1}: a function of {end - start - 1} lines (at most {FUNCTION_LINES_MAX})"


def rule_header_cards():
    for path in tracked("raft/*.h", "store/*.h", "src/*.h"):
        lines = lines_of(path)
        if not lines or not lines[0].startswith("// "):
            yield f"{path}: a header opens with a card of what it is, which thread, what it owns"


def rule_exceptions():
    """What clang-tidy is told to overlook is one named check, with the reason in words."""
    for path in tracked("*.cc", "*.h"):
        for number, line in enumerate(lines_of(path), 1):
            if "NOLINT" in line and "NOLINTEND" not in line and not re.search(r"// NOLINT(NEXTLINE|BEGIN)?\([\w.-]+\): \w", line):
                yield f"{path}:{number}: NOLINT is written '// NOLINT(check): why'"


def rule_places():
    """No host of a package registry, no path of a developer's machine."""
    # Written in pieces so that this file does not find itself.
    banned = re.compile("|".join(["deb\\." + "debian", "proxy\\.gol" + "ang", "py" + "pi\\.org", "crates" + "\\.io", "registry\\.npm" + "js", "wrapdb\\.mes" + "onbuild", "/wo" + "rk/", "/tmp/ir" + "is/"]))
    for path in tracked():
        try:
            lines = lines_of(path)
        except UnicodeDecodeError:
            continue
        for number, line in enumerate(lines, 1):
            if banned.search(line):
                yield f"{path}:{number}: {line.strip()[:100]}"


def rule_folder_readmes():
    for folder in ("proto", "raft", "src", "store", "tests", "scripts", "subprojects"):
        path = f"{folder}/README.md"
        if not tracked(path):
            yield f"{path} is missing"
        elif len(lines_of(path)) > 80:
            yield f"{path}: {len(lines_of(path))} lines: a folder's README is at most a page"


def rule_hazards():
    """Every test that tests/hazards.md names exists under that name."""
    sources = "".join("\n".join(lines_of(path)) for path in tracked("tests/*.cc", "tests/*.h", "tests/meson.build", "tests/*/meson.build"))
    files = set(tracked())
    sources = re.sub(r'"\s*\n\s*"', "", sources)
    seen = set()
    for number, line in enumerate(lines_of("tests/hazards.md"), 1):
        row = re.match(r"\| (\d+) \|", line)
        if row:
            seen.add(int(row.group(1)))
        for name in re.findall(r"`([^`]+)`", line):
            if name.startswith(("tests/", "scripts/")):
                if name not in files:
                    yield f"tests/hazards.md:{number}: no file {name}"
            elif f'"{name}"' not in sources and f"'{name}'" not in sources:
                yield f"tests/hazards.md:{number}: no test \"{name}\""
    for row in sorted(set(range(1, 121)) - seen):
        yield f"tests/hazards.md: row {row} is missing"


def rule_mutants():
    """Every bug of tests/mutants says which row it is and can still be planted: scripts/mutants finds out who notices."""
    for path in tracked("tests/mutants/*.patch"):
        if not re.match(r"Hazard \d+: .", lines_of(path)[0]):
            yield f"{path}:1: does not begin with the row of tests/hazards.md: 'Hazard N: what the bug is'"
        applied = subprocess.run(["git", "apply", "--check", path], capture_output=True, text=True)
        if applied.returncode != 0:
            yield f"{path}: does not apply: {applied.stderr.splitlines()[0]}"


RULES = {name[5:].replace("_", "-"): rule for name, rule in list(globals().items()) if name.startswith("rule_")}

if __name__ == "__main__":
    if sys.argv[1:] == ["--list"]:
        print("\n".join(RULES))
    elif len(sys.argv) == 2 and sys.argv[1] in RULES:
        findings = list(RULES[sys.argv[1]]())
        print("\n".join(findings))
        sys.exit(1 if findings else 0)
    else:
        sys.exit("usage: lint_rules.py --list | RULE")
