// The bytes of records in log/ and data/, and the checksums and codec that they are made of.
#include <algorithm>
#include <numeric>
#include <string>

#include "src/base/crc32c.h"
#include "src/base/hex.h"
#include "store/codec.h"
#include "store/keys.h"
#include "store/log_records.h"
#include "store/sha256.h"
#include "tests/store/fixture.h"

#include "tests/catch.h"  // last: its CHECK must not stand in for raft/check.h's

namespace iris::store::test {

TEST_CASE("CRC-32C gives the published values, in one piece or many (RFC 3720 B.4)") {
  REQUIRE(crc32c("") == 0);
  REQUIRE(crc32c("123456789") == 0xe3069283);
  REQUIRE(crc32c(std::string(32, '\0')) == 0x8a9136aa);
  REQUIRE(crc32c(std::string(32, '\xff')) == 0x62a8ab43);
  std::string rising(32, '\0');
  std::iota(rising.begin(), rising.end(), '\0');
  REQUIRE(crc32c(rising) == 0x46dd794e);
  std::string falling(rising.rbegin(), rising.rend());
  REQUIRE(crc32c(falling) == 0x113fdb5c);
  for (std::size_t cut = 0; cut <= rising.size(); ++cut) {
    REQUIRE(crc32c(rising.substr(cut), crc32c(rising.substr(0, cut))) == 0x46dd794e);
  }
}

TEST_CASE("SHA-256 gives the published value (FIPS 180-4 example)") {
  Sha256 hash;
  hash.add("a");
  hash.add("bc");
  REQUIRE(hex(bytes_of(hash.finish())) ==
          "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST_CASE("a reader takes any bytes and never more than there are") {
  raft::SnapshotMetadata sound = mark(7, 99);
  sound.members.learners = members_of({8}).voters;
  std::string bytes;
  put_mark(bytes, sound);
  for (std::size_t cut = 0; cut < bytes.size(); ++cut) {
    Reader reader(std::string_view(bytes).substr(0, cut));
    static_cast<void>(reader.mark());
    REQUIRE_FALSE(reader.ok());
    REQUIRE(reader.u64() == 0);
  }
  Reader reader(bytes);
  REQUIRE(reader.mark() == sound);
  REQUIRE(reader.complete());
  std::string later_layout = bytes;
  later_layout[24] = 2;
  REQUIRE(Reader(later_layout).mark().members == raft::Members{});
}

TEST_CASE("an entry's record holds at its place in its chain only (hazards 31, 101)") {
  std::string record;
  const Chain link = encode_entry(*entry(2, 5, "command"), 77, record);
  Chain chain = 77;
  const Result<raft::EntryPtr> back = decode_entry({5}, record, chain);
  REQUIRE(back.has_value());
  REQUIRE(**back == *entry(2, 5, "command"));
  REQUIRE(chain == link);
  for (const auto& [index, former] : {std::pair<std::uint64_t, Chain>{6, 77}, {5, 78}}) {
    chain = former;
    const Result<raft::EntryPtr> wrong = decode_entry({index}, record, chain);
    REQUIRE_FALSE(wrong.has_value());
    REQUIRE(wrong.error().code == Errc::corrupt);
    REQUIRE(wrong.error().text.find("log record " + std::to_string(index)) != std::string::npos);
    REQUIRE(chain == former);
  }
  for (std::size_t at = 0; at < record.size() * 8; ++at) {
    std::string damaged = record;
    damaged[at / 8] = static_cast<char>(damaged[at / 8] ^ (1 << at % 8));
    chain = 77;
    REQUIRE_FALSE(decode_entry({5}, damaged, chain).has_value());
  }
  for (std::size_t cut = 0; cut < record.size(); ++cut) {
    chain = 77;
    REQUIRE_FALSE(decode_entry({5}, std::string_view(record).substr(0, cut), chain).has_value());
  }
}

TEST_CASE("entry keys sort as their indexes, and no other key is an entry's") {
  const std::vector<std::uint64_t> indexes{1, 255, 256, 65'536, std::uint64_t{1} << 40};
  std::vector<std::string> keys;
  for (const std::uint64_t index : indexes) {
    keys.push_back(entry_key({index}));
    REQUIRE(index_of(keys.back()) == raft::Index{index});
    REQUIRE(keys.back() < entries_end());
  }
  REQUIRE(std::is_sorted(keys.begin(), keys.end()));
  for (const std::string_view other : {head_key, floor_key, install_key, identity_key}) {
    REQUIRE(index_of(other) == raft::Index{});
    REQUIRE(other >= entries_end());
  }
}

TEST_CASE("sealed records do not pass for one another, nor damaged") {
  const Head head{9, {{4}, {2}, {3}}, {{3}, {50}}, 0x12345678};
  Head head_back;
  REQUIRE(decode_head(encode_head(head), head_back));
  REQUIRE(head_back == head);
  std::string_view body;
  const std::string bytes = encode_head(head);
  REQUIRE(unseal(head_key, bytes, body));
  REQUIRE(decode_head(seal(head_key, body.substr(0, body.size() - 8)), head_back));  // an old one
  REQUIRE(head_back.state == raft::HardState{{4}, {2}});
  REQUIRE(head_back.last == head.last);
  REQUIRE_FALSE(decode_head(seal(head_key, body.substr(0, body.size() - 1)), head_back));
  const Floor floor{mark(3, 20), 0xabcdef};
  Floor floor_back;
  REQUIRE(decode_floor(encode_floor(floor), floor_back));
  REQUIRE(floor_back == floor);
  const Identity identity{{11}, {12}};
  Identity identity_back;
  REQUIRE(decode_identity(encode_identity(identity), identity_back));
  REQUIRE(identity_back == identity);
  Install install_back;
  for (const Install& install : {Install{mark(1, 2), {13}}, Install{mark(1, 2), {}}}) {
    REQUIRE(decode_install(encode_install(install), install_back));
    REQUIRE(install_back == install);
  }
  REQUIRE_FALSE(decode_head(encode_floor(floor), head_back));
  REQUIRE_FALSE(decode_install(encode_floor(floor), install_back));
  raft::EntryId applied;
  REQUIRE(decode_applied(encode_applied({{1}, {2}}), applied));
  REQUIRE(applied == raft::EntryId{{1}, {2}});
  std::string damaged = encode_head(head);
  damaged[10] ^= 1;
  REQUIRE_FALSE(decode_head(damaged, head_back));
  REQUIRE_FALSE(decode_head("", head_back));
  std::uint64_t number = 0;
  REQUIRE(family_number(family_name(12)) == 12);
  REQUIRE(family_number("rows-") == 0);
  REQUIRE(family_number("rows-1x") == 0);
  REQUIRE(decode_number("a", encode_number("a", 5), number));
  REQUIRE_FALSE(decode_number("b", encode_number("a", 5), number));
}

}  // namespace iris::store::test
