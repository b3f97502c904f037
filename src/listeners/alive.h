// Alive: lets a callback see whether the object that it would call is still there.
// Loop thread. A member of that object; its guards do nothing once the object is destroyed.
#pragma once

#include <memory>
#include <utility>

namespace iris::listening {

class Alive {
 public:
  Alive() = default;
  Alive(const Alive&) = delete;
  Alive& operator=(const Alive&) = delete;

  // `call`, for as long as this lives.
  template <typename Call>
  [[nodiscard]] auto guard(Call call) const {
    return [token = std::weak_ptr<const char>(token_), call = std::move(call)](const auto&... of) {
      if (!token.expired()) call(of...);
    };
  }

 private:
  std::shared_ptr<const char> token_ = std::make_shared<const char>();
};

}  // namespace iris::listening
