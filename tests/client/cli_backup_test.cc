// iris-cli backup where the cluster cannot give one.
#include "tests/client/cli_fixture.h"

namespace iris::test {

TEST_CASE("a backup that no majority allows says so in the time of any call, not in an hour") {
  Fixture at;
  const Folder folder;
  at.node.before = [](std::string_view method,
                      grpc::ServerContext& context) -> std::optional<grpc::Status> {
    if (method != "GetSources" && method != "GetValue") return std::nullopt;
    return FakeIris::not_done(context, "there is no leader");
  };
  const Ended read = at.cli({"get", "s", "k", "-timeout", "300ms"});
  const Ended backup = at.cli({"backup", folder.file("b"), "-timeout", "300ms"});
  CHECK(contains(backup.err, "there is no leader"));
  CHECK(backup.code == read.code);
  CHECK(std::filesystem::is_empty(folder.path));
}

}  // namespace iris::test
