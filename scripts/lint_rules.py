"""The house rules that no linter knows. Run by scripts/lint: lint_rules.py --list | --graph | RULE.

A rule prints one line per finding and the exit code says whether there was one.
"""
import functools
import os
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


# The table of allowed includes, which people read too. Its rows stand in order, the lowest layer first.
INCLUDE_TABLE = "src/README.md"
LIBRARIES = {
    "asio": r"asio[./]",
    "grpc": r"grpc|google/|absl/",
    "proto": r"proto/",
    "rocksdb": r"rocksdb/",
    "openssl": r"openssl/",
    "nlohmann": r"nlohmann/",
    "systemd": r"systemd/",
    "xxhash": r"xxhash\.h",
}


@functools.cache
def layers():
    """Rows of the table: folder -> (path prefixes it may include, libraries, whether those are for .cc files only)."""
    rows = {}
    for line in lines_of(INCLUDE_TABLE):
        cells = [cell.strip() for cell in line.split("|")]
        if len(cells) == 6 and cells[1].startswith("`"):
            named = [re.findall(r"`([^`]+)`", cell) for cell in cells]
            rows[named[1][0]] = (named[3], named[4], "in .cc files" in cells[4])
    return rows


def folder_of(path):
    return next((folder for folder in layers() if path.startswith(folder)), None)


def arrows():
    """Every include of one folder by another: (path, line number, folder, included file, its folder)."""
    for path in tracked("raft/*", "store/*", "src/*.h", "src/*.cc"):
        if path.endswith((".h", ".cc")):
            for number, _, name in includes(path):
                source, target = folder_of(path), folder_of(name)
                if target and target != source:
                    yield path, number, source, name, target


IMPURE = (
    "chrono thread mutex shared_mutex atomic condition_variable future random fstream iostream filesystem "
    "ctime time.h unistd.h sys/types.h sys/stat.h sys/socket.h"
).split()


def rule_includes():
    """Each folder includes only what its row in the table says."""
    rows = layers()
    for path in tracked("raft/*", "store/*", "src/*"):
        if not path.endswith((".h", ".cc")):
            continue
        folder = folder_of(path)
        if folder is None:
            yield f"{path}: its folder is not in the table of {INCLUDE_TABLE}"
            continue
        allowed, libraries, in_cc_only = rows[folder]
        if in_cc_only and path.endswith(".h"):
            libraries = []
        for number, _, name in includes(path):
            library = next((word for word, pattern in LIBRARIES.items() if re.match(pattern, name)), None)
            if library and library not in libraries:
                yield f"{path}:{number}: includes {name}: {folder} does not see {library}"
            elif name.startswith(("src/", "store/", "raft/", "tests/")) and not name.startswith((folder, *allowed)):
                yield f"{path}:{number}: includes {name}: the row of {folder} in {INCLUDE_TABLE} does not say so"


def rule_layers():
    """No arrow between folders runs back up, and the table names no folder or file that is not there."""
    order = list(layers())
    for path, number, source, name, target in arrows():
        if order.index(target) > order.index(source):
            yield f"{path}:{number}: includes {name}: {target} stands below {source} in {INCLUDE_TABLE}"
    paths = tracked()
    for folder, (allowed, _, _) in layers().items():
        for prefix in (folder, *allowed):
            if not any(path.startswith(prefix) for path in paths):
                yield f"{INCLUDE_TABLE}: {folder}: there is no {prefix}"


def print_graph():
    """The folders, lowest first, each with those that it includes and how often."""
    rows = layers()
    found = list(arrows())
    for folder in rows:
        targets = {}
        for _, _, source, _, target in found:
            if source == folder:
                targets[target] = targets.get(target, 0) + 1
        ordered = [f"{target} ({targets[target]})" for target in rows if target in targets]
        print(f"{folder:16} -> {' '.join(ordered) or 'nothing of ours'}")


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
    folders = {os.path.dirname(path) for path in tracked("src/*/*") if path.endswith((".h", ".cc"))}
    for folder in ("proto", "raft", "src", "store", "tests", "scripts", "subprojects", *sorted(folders)):
        path = f"{folder}/README.md"
        if not tracked(path):
            yield f"{path} is missing"
        elif len(lines_of(path)) > 80:
            yield f"{path}: {len(lines_of(path))} lines: a folder's README is at most a page"


def rule_built_sources():
    """Every .cc file is named in the meson.build of its folder or of one above: no test is skipped in silence."""
    named = set()
    for path in tracked("meson.build", "*/meson.build"):
        text = "\n".join(line.split("#")[0] for line in lines_of(path))
        words = re.findall(r"'([^'\n]+)'", text)
        # Also of a loop over words: name + '_test.cc'.
        for ending in ("", *re.findall(r"\w \+ '(\w*\.cc)'", text)):
            named.update(os.path.normpath(os.path.join(os.path.dirname(path), word + ending)) for word in words)
    for path in tracked("raft/*.cc", "store/*.cc", "src/*.cc", "tests/*.cc"):
        if path not in named:
            yield f"{path}: no meson.build names it: it is never built"


# A path with a folder, or the bare name of a page. Not those that a build makes, nor patterns such as NAME.patch.
REFERENCE = re.compile(r"(?<![\w./<*-])((?:\w+/)*[\w-]+\.md|(?:raft|store|src|tests|scripts|proto)/[\w./-]+\.(?:h|cc|py|proto|sh|patch))\b")


def comment_of(path, line):
    """The part of a line that people read; a page of Markdown is nothing else."""
    if path.endswith(".md"):
        return line
    _, mark, text = line.partition("//" if path.endswith((".cc", ".h", ".proto")) else "#")
    return text if mark and not re.match(r"\s*include\b", text) else ""


def rule_references():
    """A comment or page that refers to a file refers to one of this repository."""
    files = set(tracked())
    names = {os.path.basename(path) for path in files}
    for path in tracked("*.cc", "*.h", "*.proto", "*.py", "*.md", "scripts/*", "*meson.build"):
        for number, line in enumerate(lines_of(path), 1):
            for name in REFERENCE.findall(comment_of(path, line)):
                beside = os.path.normpath(os.path.join(os.path.dirname(path), name))
                if re.search(r"\.pb\.h$|/version\.h$|/[A-Z]+\.", name):
                    continue
                if name not in files and beside not in files and ("/" in name or name not in names):
                    yield f"{path}:{number}: refers to {name}, which is not in the repository"


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
    for row in sorted(set(range(1, 130)) - seen):
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
    elif sys.argv[1:] == ["--graph"]:
        print_graph()
        sys.exit("\n".join(rule_layers()) or 0)
    elif len(sys.argv) == 2 and sys.argv[1] in RULES:
        findings = list(RULES[sys.argv[1]]())
        print("\n".join(findings))
        sys.exit(1 if findings else 0)
    else:
        sys.exit("usage: lint_rules.py --list | --graph | RULE")
