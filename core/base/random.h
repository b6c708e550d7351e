// Bytes that nobody can guess: secrets, keys and names that are to be unique.
// Not for training, whose draws can be repeated (core/base/philox.h).
#ifndef CARACAL_CORE_BASE_RANDOM_H_
#define CARACAL_CORE_BASE_RANDOM_H_

#include <cstddef>
#include <string>

namespace caracal {

// Of the kernel's randomness. CHECKs that there is any. Thread-safe.
std::string RandomBytes(size_t count);

// The same in hex: 2 digits a byte, in lower case.
std::string RandomHex(size_t bytes);

}  // namespace caracal

#endif  // CARACAL_CORE_BASE_RANDOM_H_
