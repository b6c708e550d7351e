#include "jobs/coordinator/access/token.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "core/base/random.h"
#include "kernels/common/check.h"

namespace caracal {
namespace {

// Known to programs that look for secrets in repositories and logs.
constexpr char kPrefix[] = "caracal_";
constexpr size_t kBytes = 32;

}  // namespace

std::string NewToken() {
  return absl::StrCat(kPrefix, absl::WebSafeBase64Escape(RandomBytes(kBytes)));
}

std::string HashOfToken(absl::string_view token) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  CARACAL_CHECK(EVP_Digest(token.data(), token.size(), digest, &size,
                           EVP_sha256(), nullptr) == 1)
      << "SHA-256";
  return absl::BytesToHexString(
      absl::string_view(reinterpret_cast<const char*>(digest), size));
}

bool SameSecret(absl::string_view a, absl::string_view b) {
  return a.size() == b.size() &&
         CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

}  // namespace caracal
