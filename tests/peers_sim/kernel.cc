#include "tests/peers_sim/kernel.h"

#include <algorithm>
#include <asio/error.hpp>
#include <cstring>

#include "raft/check.h"
#include "tests/peers_sim/network.h"

namespace iris::peers_sim {

asio::execution_context::id Kernel::id;

Kernel::Kernel(asio::execution_context& context)
    : service(context),
      loop_(static_cast<asio::io_context&>(context)),
      network_(nullptr),
      host_(0) {
  CHECK(false);
}

Kernel::Kernel(asio::execution_context& context, Network& network, std::size_t host)
    : service(context),
      loop_(static_cast<asio::io_context&>(context)),
      network_(&network),
      host_(host) {
  network_->begin(*this);
}

Kernel& Kernel::of(asio::io_context& loop) {
  return asio::use_service<Kernel>(static_cast<asio::execution_context&>(loop));
}

// The process ends. A system with power closes what it held open; nobody is called back.
void Kernel::shutdown() {
  ended_ = true;
  network_->end(*this);
  for (const auto& each : std::exchange(waits_, {})) {
    if (const auto wait = each.lock()) wait->on_time = {};
  }
  for (const auto& each : std::exchange(ends_, {})) {
    if (const auto end = each.lock(); end != nullptr && end->kernel != nullptr) close(*end);
  }
  ports_.clear();
}

// --- Connections.

void Kernel::keep(const std::shared_ptr<End>& end) {
  if (ends_.size() >= 64 && ends_.size() % 64 == 0) {
    std::erase_if(ends_, [](const auto& each) { return each.expired(); });
  }
  ends_.push_back(end);
}

std::shared_ptr<End> Kernel::connect(const Endpoint& to, Handler<std::error_code> done) {
  auto end = std::make_shared<End>();
  end->kernel = this;
  end->remote = to;
  end->on_connected = std::move(done);
  keep(end);
  network_->dial(end, host_);
  return end;
}

void Kernel::connected(End& end, std::error_code error) {
  if (error) end.broken = error;
  call(end.on_connected, error);
}

void Kernel::read(End& end, asio::mutable_buffer space,
                  Handler<std::error_code, std::size_t> done) {
  // Asio's TLS reads nothing so that its handler runs later.
  if (space.size() == 0) return call(done, std::error_code(), std::size_t{0});
  CHECK(!end.on_read);
  if (end.kernel == nullptr) {
    return call(done, std::error_code(asio::error::bad_descriptor), std::size_t{0});
  }
  end.read_space = space;
  end.on_read = std::move(done);
  serve_read(end);
}

void Kernel::serve_read(End& end) {
  if (!end.on_read) return;
  if (end.in != nullptr && !end.in->arrived.empty()) {
    Bytes& arrived = end.in->arrived;
    const std::size_t bytes = network_->given(std::min(arrived.size(), end.read_space.size()));
    std::memcpy(end.read_space.data(), arrived.take(bytes).data(), bytes);
    call(end.on_read, std::error_code(), bytes);
    if (const auto writer = end.in->writer.lock(); writer != nullptr && writer->kernel != nullptr) {
      writer->kernel->serve_write(*writer);
    }
  } else if (end.broken || end.in == nullptr) {
    call(end.on_read, end.broken ? end.broken : std::error_code(asio::error::not_connected),
         std::size_t{0});
  } else if (end.in->end_arrived) {
    call(end.on_read, std::error_code(asio::error::eof), std::size_t{0});
  }
}

void Kernel::write(End& end, asio::const_buffer bytes, Handler<std::error_code, std::size_t> done) {
  CHECK(!end.on_written && bytes.size() > 0);
  if (end.kernel == nullptr) {  // closed amid a write of several steps
    return call(done, std::error_code(asio::error::bad_descriptor), std::size_t{0});
  }
  end.write_bytes = bytes;
  end.on_written = std::move(done);
  serve_write(end);
}

void Kernel::serve_write(End& end) {
  if (!end.on_written) return;
  if (end.broken || end.out == nullptr || end.write_shut) {
    call(end.on_written, end.broken ? end.broken : std::error_code(asio::error::broken_pipe),
         std::size_t{0});
    return;
  }
  const std::size_t space = network_->space(*end.out);
  if (space == 0) return;
  const std::size_t bytes = network_->taken(std::min(space, end.write_bytes.size()));
  const std::string_view taken(static_cast<const char*>(end.write_bytes.data()), bytes);
  end.out->flight.add(taken);
  call(end.on_written, std::error_code(), bytes);
  network_->wrote(end.out, taken);
}

void Kernel::shut_writing(End& end) {
  if (end.out == nullptr || std::exchange(end.write_shut, true)) return;
  end.out->end_sent = true;
  network_->wrote(end.out, {});
}

void Kernel::close(End& end) {
  CHECK(end.kernel == this);
  end.kernel = nullptr;  // first: a handler may own the socket of this end
  const std::error_code aborted = asio::error::operation_aborted;
  call(end.on_connected, aborted);
  call(end.on_read, aborted, std::size_t{0});
  call(end.on_written, aborted, std::size_t{0});
  end.on_connected = {};
  end.on_read = {};
  end.on_written = {};
  if (end.out == nullptr) return;
  if (!network_->has_power(host_)) {
    end.out->dead = true;
  } else if (!end.in->arrived.empty()) {
    network_->reset_amid_flight(end.out);
  } else if (!end.write_shut) {
    end.out->end_sent = true;
    network_->wrote(end.out, {});
  }
  end.in->arrived.clear();
  // A writer that waited for space writes on, and hears then that nobody is here.
  if (const auto writer = end.in->writer.lock(); writer != nullptr && writer->kernel != nullptr) {
    writer->kernel->serve_write(*writer);
  }
}

void Kernel::fail(End& end, std::error_code why) {
  CHECK(end.kernel == this);
  if (end.broken) return;
  end.broken = why;
  if (end.out != nullptr) end.out->dead = true;
  if (end.on_connected) return connected(end, why);
  serve_read(end);
  serve_write(end);
}

// --- Ports.

void Kernel::accept(std::uint16_t port, OnAccepted done) {
  Port& on = ports_.at(port);
  CHECK(!on.on_accepted);
  on.on_accepted = std::move(done);
  serve_accept(on);
}

void Kernel::serve_accept(Port& port) {
  if (!port.on_accepted || port.backlog.empty()) return;
  if (network_->accept_fails()) {  // the connection goes on waiting
    call(port.on_accepted, std::error_code(asio::error::no_descriptors), std::shared_ptr<End>());
    return;
  }
  auto end = std::move(port.backlog.front());
  port.backlog.pop_front();
  call(port.on_accepted, std::error_code(), std::move(end));
}

void Kernel::offer(std::uint16_t port, std::shared_ptr<End> end) {
  Port& on = ports_.at(port);
  keep(end);
  on.backlog.push_back(std::move(end));
  serve_accept(on);
}

void Kernel::stop_listening(std::uint16_t port) {
  const auto found = ports_.find(port);
  if (found == ports_.end()) return;
  call(found->second.on_accepted, std::error_code(asio::error::operation_aborted),
       std::shared_ptr<End>());
  for (const auto& end : found->second.backlog) {
    if (end->kernel != nullptr) close(*end);
  }
  ports_.erase(found);
}

// --- Timers.

std::shared_ptr<Wait> Kernel::wait(std::uint64_t wait_us, Handler<std::error_code> on_time) {
  auto wait = std::make_shared<Wait>();
  wait->on_time = std::move(on_time);
  if (waits_.size() >= 64 && waits_.size() % 64 == 0) {
    std::erase_if(waits_, [](const auto& each) { return each.expired(); });
  }
  waits_.push_back(wait);
  network_->timeline().after(wait_us, [this, weak = std::weak_ptr(wait)] {
    // A wait that still has its handler belongs to a process that has not ended.
    const auto due = weak.lock();
    if (due != nullptr && due->on_time) call(due->on_time, std::error_code());
  });
  return wait;
}

void Kernel::cancel(Wait& wait) {
  if (ended_) {
    wait.on_time = {};
  } else {
    call(wait.on_time, std::error_code(asio::error::operation_aborted));
  }
}

}  // namespace iris::peers_sim
