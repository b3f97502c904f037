// A command, byte by byte. A number is a varint (seven bits a byte, the least significant first, in
// its shortest form only). A name is its length as a number, then its bytes, and is not empty. A
// flag is 0 or 1, and [x] is present where the flag before it is 1. Nothing may follow the end.
//
//   version  one byte, 1; 255 at the level after this build's, for tests of upgrades only
//   kind     one byte, CommandView::Kind
//   set_value        flag [if_revision]  source  key  value (the rest of the bytes)
//   remove_value     flag [if_revision]  source  key
//   remove_source    source
//   subscribe        session  source  flag [key]
//   unsubscribe      session  source  flag [key]
//   expire_sessions  up_to  count  session * count
//
// A command has exactly one encoding, so that equal commands are equal bytes.
#include "src/machine/command.h"

#include "raft/check.h"
#include "src/base/varint.h"

namespace iris {
namespace {

constexpr std::uint8_t version = 1;
constexpr std::uint8_t version_of_tests = 255;
using Kind = CommandView::Kind;
constexpr auto last_kind = static_cast<std::uint8_t>(Kind::expire_sessions);

void put_number(std::string& out, std::uint64_t number) {
  char bytes[varint_bytes_max];
  out.append(bytes, static_cast<std::size_t>(put_varint(bytes, number) - bytes));
}

void put_name(std::string& out, std::string_view name) {
  CHECK(!name.empty());
  put_number(out, name.size());
  out.append(name);
}

void put_condition(std::string& out, const std::optional<std::uint64_t>& if_revision) {
  out.push_back(if_revision ? 1 : 0);
  if (if_revision) put_number(out, *if_revision);
}

void put_key(std::string& out, const std::optional<std::string>& key) {
  out.push_back(key ? 1 : 0);
  if (key) put_name(out, *key);
}

void put_header(std::string& out, Kind kind) {
  out.push_back(static_cast<char>(version));
  out.push_back(static_cast<char>(kind));
}

struct Encoder {
  std::string out;

  void operator()(const SetValue& set) {
    out.reserve(set.source.size() + set.key.size() + set.value.size() + 32);
    put_header(out, Kind::set_value);
    put_condition(out, set.if_revision);
    put_name(out, set.source);
    put_name(out, set.key);
    out.append(set.value);
  }
  void operator()(const RemoveValue& remove) {
    put_header(out, Kind::remove_value);
    put_condition(out, remove.if_revision);
    put_name(out, remove.source);
    put_name(out, remove.key);
  }
  void operator()(const RemoveSource& remove) {
    put_header(out, Kind::remove_source);
    put_name(out, remove.source);
  }
  void operator()(const Subscribe& subscribe) {
    put_header(out, Kind::subscribe);
    put_name(out, subscribe.session);
    put_name(out, subscribe.source);
    put_key(out, subscribe.key);
  }
  void operator()(const Unsubscribe& unsubscribe) {
    put_header(out, Kind::unsubscribe);
    put_name(out, unsubscribe.session);
    put_name(out, unsubscribe.source);
    put_key(out, unsubscribe.key);
  }
  void operator()(const ExpireSessions& expire) {
    put_header(out, Kind::expire_sessions);
    put_number(out, expire.up_to);
    put_number(out, expire.sessions.size());
    for (const auto& session : expire.sessions) put_name(out, session);
  }
};

// Reads from the front of `rest`. After the first malformed or missing part `ok` stays false.
struct Reader {
  std::string_view rest;
  bool ok = true;

  std::uint8_t byte() {
    if (rest.empty()) {
      ok = false;
      return 0;
    }
    const auto first = static_cast<std::uint8_t>(rest.front());
    rest.remove_prefix(1);
    return first;
  }

  std::uint64_t number() {
    const std::string_view before = rest;
    std::uint64_t result = 0;
    if (ok) ok = take_varint(rest, result);
    const std::size_t size = before.size() - rest.size();
    if (size > 1 && before[size - 1] == 0) ok = false;  // not the shortest form
    return ok ? result : 0;
  }

  bool flag() {
    const std::uint8_t next = byte();
    if (next > 1) ok = false;
    return next == 1;
  }

  std::string_view name() {
    const std::uint64_t size = number();
    if (!ok || size == 0 || size > rest.size()) {
      ok = false;
      return {};
    }
    const std::string_view taken = rest.substr(0, size);
    rest.remove_prefix(size);
    return taken;
  }

  std::string_view remainder() {
    const std::string_view taken = rest;
    rest = {};
    return taken;
  }
};

void read_body(Reader& reader, CommandView& command) {
  switch (command.kind) {
    case Kind::set_value:
    case Kind::remove_value:
      if (reader.flag()) command.if_revision = reader.number();
      command.source = reader.name();
      command.key = reader.name();
      if (command.kind == Kind::set_value) command.value = reader.remainder();
      return;
    case Kind::remove_source:
      command.source = reader.name();
      return;
    case Kind::subscribe:
    case Kind::unsubscribe:
      command.session = reader.name();
      command.source = reader.name();
      if (reader.flag()) command.key = reader.name();
      return;
    case Kind::expire_sessions: {
      command.up_to = reader.number();
      const std::uint64_t count = reader.number();
      // No reserve: `count` proves nothing before its names are read.
      for (std::uint64_t i = 0; i < count && reader.ok; ++i) {
        command.sessions.push_back(reader.name());
      }
      return;
    }
  }
  reader.ok = false;
}

std::optional<std::string> owned(const std::optional<std::string_view>& key) {
  return key ? std::optional<std::string>(*key) : std::nullopt;
}

}  // namespace

std::string encode(const Operation& operation, raft::Level level) {
  Encoder encoder;
  std::visit(encoder, operation);
  if (level > feature_level) encoder.out.front() = static_cast<char>(version_of_tests);
  return std::move(encoder.out);
}

std::optional<raft::Level> level_of(std::string_view command) {
  if (command.size() < 2) return raft::Level{};
  const auto kind = static_cast<std::uint8_t>(command[1]);
  if (kind == 0 || kind > last_kind) return std::nullopt;
  switch (static_cast<std::uint8_t>(command[0])) {
    case version:
      return raft::Level{};
    case version_of_tests:
      return feature_level.next();
    default:
      return std::nullopt;
  }
}

Result<CommandView> parse(std::string_view bytes) {
  Reader reader{bytes};
  const std::uint8_t found = reader.byte();
  if (!reader.ok || (found != version && found != version_of_tests)) {
    return fail(Errc::corrupt, "a command of a version this build does not know");
  }
  CommandView command;
  command.kind = static_cast<Kind>(reader.byte());
  if (reader.ok) read_body(reader, command);
  if (!reader.ok || !reader.rest.empty()) return fail(Errc::corrupt, "a malformed command");
  return command;
}

Result<Operation> decode(std::string_view bytes) {
  const auto parsed = parse(bytes);
  if (!parsed) return unexpected(parsed.error());
  const CommandView& command = *parsed;
  const auto source = std::string(command.source);
  switch (command.kind) {
    case Kind::set_value:
      return Operation(SetValue{source, std::string(*command.key), std::string(command.value),
                                command.if_revision});
    case Kind::remove_value:
      return Operation(RemoveValue{source, std::string(*command.key), command.if_revision});
    case Kind::remove_source:
      return Operation(RemoveSource{source});
    case Kind::subscribe:
      return Operation(Subscribe{std::string(command.session), source, owned(command.key)});
    case Kind::unsubscribe:
      return Operation(Unsubscribe{std::string(command.session), source, owned(command.key)});
    case Kind::expire_sessions:
      break;
  }
  return Operation(
      ExpireSessions{command.up_to, {command.sessions.begin(), command.sessions.end()}});
}

}  // namespace iris
