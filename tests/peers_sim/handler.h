// Handler: a function that is called once at most and may not be copied, as Asio's own operations
// are. Owns the function; forgets it when it is called.
#pragma once

#include <memory>
#include <utility>

namespace iris::peers_sim {

template <class... Args>
class Handler {
 public:
  Handler() = default;
  template <class Function>
  explicit Handler(Function function)
      : call_(std::make_unique<Model<Function>>(std::move(function))) {}

  explicit operator bool() const { return call_ != nullptr; }
  // REQUIRES: not empty.
  void operator()(Args... args) { std::exchange(call_, nullptr)->run(std::move(args)...); }

 private:
  struct Call {
    virtual ~Call() = default;
    virtual void run(Args... args) = 0;
  };
  template <class Function>
  struct Model : Call {
    explicit Model(Function given) : function(std::move(given)) {}
    void run(Args... args) override { function(std::move(args)...); }
    Function function;
  };

  std::unique_ptr<Call> call_;
};

}  // namespace iris::peers_sim
