// Io: by which sockets, timers and clock nodes talk to each other. In every program these are
// Asio's own, and the names below cost nothing. tests/peers_sim compiles the sources of the raft
// port once more with IRIS_IO naming a header of its own: there the same code runs over a network
// and a clock that a seed decides.
#pragma once

#ifdef IRIS_IO
#include IRIS_IO
#else

#include <asio/ip/tcp.hpp>
#include <asio/steady_timer.hpp>
#include <chrono>

namespace iris::io {

using Clock = std::chrono::steady_clock;
using Timer = asio::steady_timer;
using Socket = asio::ip::tcp::socket;
using ListeningSocket = asio::ip::tcp::acceptor;

}  // namespace iris::io

#endif
