#include "tests/cluster/load.h"

#include <algorithm>
#include <cstdio>
#include <functional>
#include <random>

namespace iris::test {

std::string unlike_any(const std::string& key, std::uint64_t number, std::size_t bytes) {
  std::string value = key + " " + std::to_string(number) + " ";
  std::mt19937_64 random(std::hash<std::string>{}(value));
  value.reserve(bytes + sizeof(std::uint64_t));
  while (value.size() < bytes) {
    const std::uint64_t more = random();
    value.append(reinterpret_cast<const char*>(&more), sizeof more);
  }
  value.resize(bytes);
  return value;
}

namespace {

constexpr std::size_t fill_value_bytes = 64u << 10;
std::size_t fill_keys(std::size_t megabytes) { return megabytes * ((1u << 20) / fill_value_bytes); }

}  // namespace

bool fill(const NodeApi& api, std::size_t megabytes) {
  constexpr std::size_t threads_count = 8;
  const std::size_t keys = fill_keys(megabytes);
  std::atomic<std::size_t> next{0};
  std::atomic<bool> good{true};
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < threads_count; ++i) {
    threads.emplace_back([&] {
      for (std::size_t key = next++; key < keys && good; key = next++) {
        const std::string name = std::to_string(key);
        const auto answer =
            api.set("fill", name, unlike_any(name, 1, fill_value_bytes), Milliseconds(20000));
        if (answer.answer == CallAnswer::ok) continue;
        std::printf("a write failed: %s\n", answer.text.c_str());
        good = false;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  return good;
}

std::map<std::string, std::string> fill_content(std::size_t megabytes) {
  std::map<std::string, std::string> content;
  for (std::size_t key = 0; key < fill_keys(megabytes); ++key) {
    const std::string name = std::to_string(key);
    content[name] = unlike_any(name, 1, fill_value_bytes);
  }
  return content;
}

Load::Load(const NodeApi& api, LoadOptions options)
    : api_(api), options_(std::move(options)), writers_(options_.writers) {
  for (Writer& writer : writers_) writer.unclear.resize(options_.keys_per_writer);
}

Load::~Load() { stop(); }

void Load::start() {
  stopping_ = false;
  for (std::size_t i = 0; i < writers_.size(); ++i) {
    writers_[i].thread = std::thread([this, i] { write(i); });
  }
}

void Load::stop() {
  stopping_ = true;
  for (Writer& writer : writers_) {
    if (writer.thread.joinable()) writer.thread.join();
  }
}

std::string Load::key_name(std::size_t writer, std::size_t key) const {
  return std::to_string(writer) + "." + std::to_string(key);
}

void Load::write(std::size_t which) {
  Writer& writer = writers_[which];
  for (std::size_t turn = 0; !stopping_; ++turn) {
    const std::size_t key = turn % options_.keys_per_writer;
    const std::string name = key_name(which, key);
    ++writer.calls;
    const bool removes = options_.remove_one_in != 0 && writer.calls % options_.remove_one_in == 0;
    const std::uint64_t number = removes ? 0 : writer.calls;
    const WriteAnswer answer =
        removes ? api_.remove(options_.source, name, options_.call_limit)
                : api_.set(options_.source, name, unlike_any(name, number, options_.value_bytes),
                           options_.call_limit);
    if (answer.answer == CallAnswer::ok) {
      writer.writes.push_back({answer.revision, key, number});
      ++acknowledged_;
    } else {
      if (answer.answer == CallAnswer::unknown) {
        writer.unclear[key] = true;
        ++unknown_;
      }
      // A dead or full node refuses at once: do not burn the machine. Nothing to wait for.
      std::this_thread::sleep_for(Milliseconds(20));
    }
  }
}

double Load::rate(Milliseconds span) const {
  const auto begin = Clock::now();
  const std::uint64_t before = acknowledged();
  std::this_thread::sleep_for(span);  // a measurement: nothing to wait for but time
  const std::chrono::duration<double> took = Clock::now() - begin;
  return static_cast<double>(acknowledged() - before) / took.count();
}

bool Load::await_progress(std::uint64_t more, Milliseconds limit) const {
  const std::uint64_t goal = acknowledged() + more;
  return await(limit, [&] { return acknowledged() >= goal; });
}

std::map<std::string, std::string> Load::at(std::uint64_t revision) const {
  std::map<std::string, std::string> state;
  for (std::size_t i = 0; i < writers_.size(); ++i) {
    std::map<std::size_t, std::uint64_t> numbers;
    for (const Write& write : writers_[i].writes) {
      if (write.revision <= revision) numbers[write.key] = write.number;
    }
    for (const auto& [key, number] : numbers) {
      if (number == 0 || writers_[i].unclear[key]) continue;
      const std::string name = key_name(i, key);
      state[name] = unlike_any(name, number, options_.value_bytes);
    }
  }
  return state;
}

std::set<std::string> Load::unclear() const {
  std::set<std::string> names;
  for (std::size_t i = 0; i < writers_.size(); ++i) {
    for (std::size_t key = 0; key < options_.keys_per_writer; ++key) {
      if (writers_[i].unclear[key]) names.insert(key_name(i, key));
    }
  }
  return names;
}

std::uint64_t Load::last_revision() const {
  std::uint64_t last = 0;
  for (const Writer& writer : writers_) {
    if (!writer.writes.empty()) last = std::max(last, writer.writes.back().revision);
  }
  return last;
}

}  // namespace iris::test
