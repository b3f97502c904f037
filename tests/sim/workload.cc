#include "tests/sim/workload.h"

#include <utility>

#include "tests/sim/world.h"

namespace iris::sim {

Workload::Workload(World& world, Calls& calls)
    : world_(world), calls_(calls), random_(world.random(RandomStream::workload)) {
  for (std::uint32_t i = 0; i < world.options.clients; ++i) {
    clients_.push_back({i, random_.below(world.hosts.size()), 0, 0, {}});
  }
}

void Workload::start() {
  for (std::size_t i = 0; i < clients_.size(); ++i) think(i);
}

void Workload::think(std::size_t client) {
  world_.timeline.after(random_.below(2 * world_.options.think_us) + 1,
                        [this, client] { act(client); });
}

Host* Workload::pick_host(Client& client) {
  if (random_.below(10) == 0) client.home = random_.below(world_.hosts.size());
  Host& home = *world_.hosts[client.home];
  if (home.runs() && home.node().initialized()) return &home;
  client.home = random_.below(world_.hosts.size());
  return nullptr;
}

void Workload::act(std::size_t number) {
  if (stopped_) return;
  Client& client = clients_[number];
  const SimOptions& options = world_.options;
  if (options.calls_max > 0 && begun_ >= options.calls_max) return;
  Host* host = pick_host(client);
  if (host == nullptr) {
    think(number);
    return;
  }
  ++begun_;
  ++client.calls;
  const std::string source = "s" + std::to_string(random_.below(options.sources));
  const std::string key = "k" + std::to_string(random_.below(options.keys));
  const Calls::Then then = [this, number, slot = source + "/" + key](CallResult answer,
                                                                     std::uint64_t revision) {
    Client& mine = clients_[number];
    if (answer == CallResult::ok && revision > 0) {
      mine.revisions[slot] = revision;
      mine.seen = std::max(mine.seen, revision);
    }
    think(number);
  };
  if (random_.below(100) < 60) {
    calls_.write(*host, pick_write(client, source, key), options.call_ms, then);
  } else {
    read(client, *host, source, key, then);
  }
}

Operation Workload::pick_write(Client& client, const std::string& source, const std::string& key) {
  std::optional<std::uint64_t> condition;
  if (random_.below(8) == 0) {
    const auto known = client.revisions.find(source + "/" + key);
    condition = known == client.revisions.end() || random_.below(4) == 0 ? 0 : known->second;
  }
  const std::uint64_t kind = random_.below(100);
  if (kind < 10) return RemoveValue{source, key, condition};
  if (kind < 14) return RemoveSource{source};
  std::string value =
      "c" + std::to_string(client.number) + "." + std::to_string(client.calls) + ".";
  value.resize(value.size() + random_.below(world_.options.value_bytes_max), 'x');
  return SetValue{source, key, std::move(value), condition};
}

void Workload::read(Client& client, Host& host, const std::string& source, const std::string& key,
                    const Calls::Then& then) {
  const std::uint64_t call_ms = world_.options.call_ms;
  const Consistency consistency =
      random_.below(5) == 0 ? Consistency::stale : Consistency::linearizable;
  const std::uint64_t least =
      consistency == Consistency::stale && random_.below(2) == 0 ? client.seen : 0;
  const std::uint64_t kind = random_.below(10);
  if (kind < 7) {
    calls_.get(host, source, key, consistency, least, call_ms, then);
  } else if (kind < 9) {
    calls_.list_keys(host, source, consistency, least, call_ms, then);
  } else {
    calls_.list_sources(host, consistency, least, call_ms, then);
  }
}

}  // namespace iris::sim
