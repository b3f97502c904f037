// PersistentMap: an ordered map of strings whose copy costs one reference: old copies never change.
// A treap whose priorities are hashes of the keys, so its shape follows from its contents alone.
// One thread (the counts are not atomic). Owns its nodes; never holds on to a caller's bytes.
// Carries a digest of its contents, kept up to date by each change.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "raft/check.h"
#include "tests/sim/random.h"

namespace iris::sim {

// Counts its owners in the object itself.
template <class T>
class Counted {
 public:
  Counted() = default;
  explicit Counted(T* object) : object_(object) { retain(); }
  Counted(const Counted& other) : object_(other.object_) { retain(); }
  Counted(Counted&& other) noexcept : object_(std::exchange(other.object_, nullptr)) {}
  Counted& operator=(Counted other) noexcept {
    std::swap(object_, other.object_);
    return *this;
  }
  ~Counted() {
    if (object_ != nullptr && --object_->owners == 0) delete object_;
  }
  [[nodiscard]] bool unique() const { return object_ != nullptr && object_->owners == 1; }
  explicit operator bool() const { return object_ != nullptr; }
  T* operator->() const { return object_; }
  T& operator*() const { return *object_; }
  [[nodiscard]] T* get() const { return object_; }

 private:
  void retain() {
    if (object_ != nullptr) ++object_->owners;
  }
  T* object_ = nullptr;
};

class PersistentMap {
  struct Item {
    mutable std::uint32_t owners = 0;
    std::string key;
    std::string value;
    std::uint64_t priority = 0;
    std::uint64_t digest = 0;
  };
  struct Node {
    std::uint32_t owners = 0;
    Counted<const Item> item;
    Counted<Node> left;
    Counted<Node> right;
  };
  using NodePtr = Counted<Node>;

 public:
  // nullptr: absent. Good until the next change of this copy.
  [[nodiscard]] const std::string* find(std::string_view key) const {
    const Node* node = root_.get();
    while (node != nullptr) {
      const int order = key.compare(node->item->key);
      if (order == 0) return &node->item->value;
      node = order < 0 ? node->left.get() : node->right.get();
    }
    return nullptr;
  }

  void put(std::string_view key, std::string_view value) {
    auto* item = new Item;
    item->key = key;
    item->value = value;
    item->priority = mix(hash(key));
    item->digest = mix(item->priority ^ mix(hash(value) + 1));
    insert(root_, Counted<const Item>(item));
  }

  bool erase(std::string_view key) {
    if (find(key) == nullptr) return false;
    remove(root_, key);
    return true;
  }

  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] std::size_t bytes() const { return bytes_; }
  // Depends on the contents alone, not on the order of the changes.
  [[nodiscard]] std::uint64_t digest() const { return digest_; }

  // In byte order, over the map as it is now.
  class Cursor {
   public:
    Cursor(const PersistentMap& map, std::string_view from) : root_(map.root_) {
      for (const Node* node = root_.get(); node != nullptr;) {
        if (node->item->key >= from) {
          path_.push_back(node);
          node = node->left.get();
        } else {
          node = node->right.get();
        }
      }
    }
    [[nodiscard]] bool valid() const { return !path_.empty(); }
    [[nodiscard]] const std::string& key() const { return path_.back()->item->key; }
    [[nodiscard]] const std::string& value() const { return path_.back()->item->value; }
    void next() {
      const Node* node = path_.back()->right.get();
      path_.pop_back();
      for (; node != nullptr; node = node->left.get()) path_.push_back(node);
    }

   private:
    NodePtr root_;  // keeps the nodes alive
    std::vector<const Node*> path_;
  };

 private:
  // FNV-1a, then mixed by the callers.
  static std::uint64_t hash(std::string_view bytes) {
    std::uint64_t state = 0xcbf29ce484222325;
    for (const char byte : bytes) {
      state = (state ^ static_cast<unsigned char>(byte)) * 0x100000001b3;
    }
    return state;
  }

  // A node of which this map is the only owner: itself, or a copy.
  static void own(NodePtr& node) {
    if (node.unique()) return;
    auto* copy = new Node;
    copy->item = node->item;
    copy->left = node->left;
    copy->right = node->right;
    node = NodePtr(copy);
  }

  void account(const Item& item, bool added) {
    const std::size_t item_bytes = item.key.size() + item.value.size();
    size_ += added ? 1 : -1;
    bytes_ += added ? item_bytes : -item_bytes;
    digest_ += added ? item.digest : -item.digest;
  }

  void insert(NodePtr& node, Counted<const Item> item) {
    if (!node) {
      account(*item, true);
      auto* fresh = new Node;
      fresh->item = std::move(item);
      node = NodePtr(fresh);
      return;
    }
    own(node);
    const int order = item->key.compare(node->item->key);
    if (order == 0) {
      account(*node->item, false);
      account(*item, true);
      node->item = std::move(item);
      return;
    }
    NodePtr& child = order < 0 ? node->left : node->right;
    insert(child, std::move(item));
    if (child->item->priority <= node->item->priority) return;
    // Rotate: the child's inner branch changes sides. Both nodes are this map's own by now.
    NodePtr up = std::move(child);
    NodePtr& inner = order < 0 ? up->right : up->left;
    child = std::move(inner);
    inner = std::move(node);
    node = std::move(up);
  }

  void remove(NodePtr& node, std::string_view key) {
    own(node);
    const int order = key.compare(node->item->key);
    if (order != 0) {
      remove(order < 0 ? node->left : node->right, key);
      return;
    }
    account(*node->item, false);
    node = merge(std::move(node->left), std::move(node->right));
  }

  // REQUIRES: every key of `left` is before every key of `right`.
  static NodePtr merge(NodePtr left, NodePtr right) {
    if (!left) return right;
    if (!right) return left;
    if (left->item->priority > right->item->priority) {
      own(left);
      left->right = merge(std::move(left->right), std::move(right));
      return left;
    }
    own(right);
    right->left = merge(std::move(left), std::move(right->left));
    return right;
  }

  NodePtr root_;
  std::size_t size_ = 0;
  std::size_t bytes_ = 0;
  std::uint64_t digest_ = 0;
};

}  // namespace iris::sim
