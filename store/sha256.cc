#include "store/sha256.h"

#include <openssl/evp.h>

#include "raft/check.h"

namespace iris::store {

struct Sha256::Context {
  EVP_MD_CTX* evp = EVP_MD_CTX_new();
  ~Context() { EVP_MD_CTX_free(evp); }
};

Sha256::Sha256() : context_(std::make_unique<Context>()) {
  CHECK(context_->evp != nullptr);
  CHECK(EVP_DigestInit_ex(context_->evp, EVP_sha256(), nullptr) == 1);
}

Sha256::~Sha256() = default;

void Sha256::add(std::string_view bytes) {
  CHECK(EVP_DigestUpdate(context_->evp, bytes.data(), bytes.size()) == 1);
}

Digest Sha256::finish() {
  Digest digest{};
  unsigned int length = 0;
  CHECK(EVP_DigestFinal_ex(context_->evp, digest.data(), &length) == 1);
  CHECK(length == digest.size());
  return digest;
}

}  // namespace iris::store
