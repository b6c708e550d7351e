// The identity of a tokenizer, for files that hold its ids.
#ifndef CARACAL_CORE_IO_TOKENIZER_FINGERPRINT_H_
#define CARACAL_CORE_IO_TOKENIZER_FINGERPRINT_H_

#include <string>

#include "core/io/tokenizer/tokenizer_spec.h"

namespace caracal {

// XXH3-128, as 32 hexadecimal digits, of everything that decides which ids a
// text gets: vocabulary, merges, added tokens, normalizer, pre-tokenizer.
// What is put around texts (BOS, EOS) and the source file don't count.
std::string FingerprintOf(const TokenizerSpec& spec);

}  // namespace caracal

#endif  // CARACAL_CORE_IO_TOKENIZER_FINGERPRINT_H_
