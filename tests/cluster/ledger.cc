#include "tests/cluster/ledger.h"

#include <algorithm>
#include <cstdlib>

namespace iris::test {

Ledger::Ledger(const Nodes& nodes, LedgerOptions options) : options_(std::move(options)) {
  for (std::size_t i = 0; i < nodes.size(); ++i) apis_.push_back(&nodes.api(i));
  for (std::size_t i = 0; i < options_.writers; ++i) {
    keys_.push_back(std::make_unique<Key>());
    keys_.back()->name = "key" + std::to_string(i);
  }
}

Ledger::~Ledger() { stop(); }

void Ledger::start() {
  stopping_ = false;
  {
    const std::lock_guard lock(mutex_);
    last_acknowledged_ = Clock::now();
    longest_gap_ = Clock::duration(0);
  }
  for (std::size_t i = 0; i < options_.writers; ++i) threads_.emplace_back([this, i] { write(i); });
  for (std::size_t i = 0; i < options_.readers; ++i) threads_.emplace_back([this, i] { read(i); });
}

void Ledger::stop() {
  stopping_ = true;
  for (auto& thread : threads_) thread.join();
  threads_.clear();
}

std::string Ledger::value_of(std::uint64_t number) const {
  std::string value = std::to_string(number) + " ";
  value.resize(std::max(value.size(), options_.padding_bytes), '.');
  return value;
}

void Ledger::write(std::size_t writer) {
  auto& key = *keys_[writer];
  const NodeApi& api = *apis_[writer % apis_.size()];
  while (!stopping_) {
    std::uint64_t number = 0;
    {
      const std::lock_guard lock(key.mutex);
      number = ++key.issued;
    }
    const auto answer = api.set(options_.source, key.name, value_of(number), options_.call_limit);
    if (answer.answer == CallAnswer::ok) {
      const std::lock_guard lock(key.mutex);
      if (answer.revision <= key.last_revision) {
        violation(key.name + ": a later write got revision " + std::to_string(answer.revision) +
                  " after " + std::to_string(key.last_revision));
      }
      key.last_revision = answer.revision;
      key.acknowledged = number;
      note_acknowledged();
    } else {
      // A dead node refuses at once: do not burn the machine while it is away. Nothing to wait for.
      if (answer.answer == CallAnswer::unknown) ++unknown_;
      std::this_thread::sleep_for(Milliseconds(20));
    }
  }
}

void Ledger::read(std::size_t reader) {
  const std::size_t node = reader % apis_.size();
  for (std::size_t turn = reader; !stopping_; ++turn) {
    if (!check_read(*keys_[turn % keys_.size()], *apis_[node], "node " + std::to_string(node))) {
      std::this_thread::sleep_for(Milliseconds(20));
    }
  }
}

bool Ledger::check_read(Key& key, const NodeApi& api, const std::string& through) {
  std::uint64_t acknowledged = 0;
  std::uint64_t seen = 0;
  {
    const std::lock_guard lock(key.mutex);
    acknowledged = key.acknowledged;
    seen = key.seen;
  }
  const auto answer = api.get(options_.source, key.name, options_.call_limit);
  if (!answer.ok) return false;
  const std::uint64_t number = std::strtoull(answer.value.c_str(), nullptr, 10);
  const std::lock_guard lock(key.mutex);
  const auto complain = [&](const std::string& what) {
    violation(key.name + " read through " + through + ": " + std::to_string(number) + " " + what);
  };
  if (number < acknowledged)
    complain("although " + std::to_string(acknowledged) + " was acknowledged");
  if (number < seen) complain("although " + std::to_string(seen) + " had been read before");
  if (number > key.issued) complain("although only " + std::to_string(key.issued) + " was issued");
  if (answer.found != (number != 0)) complain("and `found` says otherwise");
  if (number != 0 && answer.value != value_of(number)) complain("with other bytes than stored");
  key.seen = std::max(key.seen, number);
  ++reads_;
  return true;
}

void Ledger::check_final(const NodeApi& api, const std::string& through) {
  for (auto& key : keys_) {
    if (!await(Milliseconds(20000), [&] { return check_read(*key, api, through); })) {
      violation(key->name + " could not be read through " + through + " within 20 s");
    }
  }
}

bool Ledger::await_progress(std::uint64_t more, Milliseconds limit) const {
  const std::uint64_t goal = acknowledged() + more;
  return await(limit, [&] { return acknowledged() >= goal; });
}

void Ledger::note_acknowledged() {
  ++acknowledged_;
  const std::lock_guard lock(mutex_);
  const auto now = Clock::now();
  longest_gap_ = std::max(longest_gap_, now - last_acknowledged_);
  last_acknowledged_ = now;
}

double Ledger::longest_gap_ms() const {
  const std::lock_guard lock(mutex_);
  return std::chrono::duration<double, std::milli>(longest_gap_).count();
}

void Ledger::violation(std::string text) {
  const std::lock_guard lock(mutex_);
  if (violations_.size() < 100) violations_.push_back(std::move(text));
}

std::vector<std::string> Ledger::violations() const {
  const std::lock_guard lock(mutex_);
  return violations_;
}

}  // namespace iris::test
