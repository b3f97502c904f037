// ClientShares: how much of a server each connection of a client holds: calls that are open, and
// bytes of answers that the client has not taken yet. No connection can hold all there is: what is
// over its own share is refused, and where all connections together are over the total, the one
// that holds most loses its answers.
//
// Loop thread. A share lives while its connection has a call inside, and until the next sweep.
// Entering costs one look-up, an answer costs no memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <unordered_map>

#include "raft/result.h"

namespace iris {

struct ClientShareLimits {
  // Open calls of one connection; streams of rows count, Listen streams do not. gRPC spends some
  // 18 KiB on each.
  std::size_t calls_max = 4'096;
  // Bytes of untaken answers of one connection. An answer to a connection that has taken all former
  // ones is never over it.
  std::size_t answer_bytes_max = 64u << 20;
  // The same of all connections together.
  std::size_t total_answer_bytes_max = 256u << 20;
};

class ClientShares {
 public:
  struct Share {
    std::size_t calls = 0;
    std::size_t answer_bytes = 0;
    std::size_t broken_off_bytes = 0;  // of answer_bytes
    std::uint64_t taken = 0;           // sweeps before the last answer that ended
    bool full = false;                 // an answer was refused, and none has ended since
  };

  // Does the client have to take this answer itself, or is it enough that it takes some answer of
  // the connection? A row of a list holds a state of the data; an answer that waits behind others
  // on a slow connection holds its bytes only.
  enum class Patience { answer, connection };

  // An answer that gRPC has been given, until the client's connection took it or broke. Part of a
  // call; in one list, the oldest first.
  class Answer {
   public:
    // Ends the call from our side. end() follows, later.
    virtual void break_off() = 0;

   protected:
    virtual ~Answer() = default;

   private:
    friend class ClientShares;
    Answer* previous_ = nullptr;
    Answer* next_ = nullptr;
    Share* share_ = nullptr;
    std::size_t bytes_ = 0;
    std::uint64_t begun_ = 0;  // sweeps before it
    Patience patience_ = Patience::answer;
    bool broken_off_ = false;
  };

  explicit ClientShares(ClientShareLimits limits) : limits_(limits) {}
  ~ClientShares();
  ClientShares(const ClientShares&) = delete;
  ClientShares& operator=(const ClientShares&) = delete;

  // A call of this connection ("ipv4:192.0.2.1:40000") is inside until leave().
  [[nodiscard]] Share& enter(const std::string& connection);
  void leave(Share& share);
  // Errc::limit naming the limit where the connection has more calls open than it may.
  [[nodiscard]] Status may_call(const Share& share) const;

  // Errc::limit naming the limit where the connection holds too much for one more answer. Having
  // refused one, it refuses all others too until one is taken.
  [[nodiscard]] Status may_answer(Share& share, std::size_t bytes) const;
  // The same before the answer is read and its size known, so that a client which reads nothing
  // cannot have great values read without end.
  [[nodiscard]] Status may_read(const Share& share) const;
  void begin(Answer& answer, Share& share, std::size_t bytes, Patience patience);
  void end(Answer& answer);
  // Breaks off the answers whose clients have not read for the whole time between two sweeps.
  // Forgets connections without calls.
  void sweep();

  [[nodiscard]] const ClientShareLimits& limits() const { return limits_; }
  [[nodiscard]] std::size_t answer_bytes() const { return answer_bytes_; }
  [[nodiscard]] std::size_t connections() const { return shares_.size(); }

 private:
  void break_off(Answer& answer);
  void relieve();

  const ClientShareLimits limits_;
  std::unordered_map<std::string, Share> shares_;
  Answer* first_ = nullptr;
  Answer* last_ = nullptr;
  std::size_t answer_bytes_ = 0;
  std::size_t broken_off_bytes_ = 0;  // of answer_bytes_
  std::uint64_t sweeps_ = 0;
};

}  // namespace iris
