// `caracal data pack`: text files into rows of tokens.
//
// Documents are encoded one after the other, each as
//   [the tokenizer's prefix ids, such as BOS] tokens EOS
// (a suffix that the tokenizer would add is replaced by the one EOS), and laid
// end to end. Every N + 1 tokens make a row; no token is in two rows, as in
// LoLCATs' chunks; the tokens behind the last full row are dropped, and so are
// rows none of whose targets is in the loss. The EOS counts in the loss, the
// prompts of instructions don't. File format: docs/formats/data.md.
#ifndef CARACAL_JOBS_DATA_PACK_H_
#define CARACAL_JOBS_DATA_PACK_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/base/file_system.h"
#include "core/io/tokenizer/tokenizer.h"
#include "jobs/data/documents.h"
#include "jobs/data/row_writer.h"

namespace caracal {

struct PackOptions {
  std::vector<std::string> inputs;       // read in this order; pipes, too
  const Tokenizer* tokenizer = nullptr;  // needed, with an EOS
  int64_t seq_len = 0;                   // N, [1, 2^24 - 2]
  std::string out;                       // HDF5; replaced when done

  // A second output with about this share, in (0, 1), of the text: of a text
  // file that is one document its last part, from a line break on; else every
  // (1 / fraction)-th document. "" and 0: none.
  std::string held_out;
  double held_out_fraction = 0;

  InputFormat format = InputFormat::kByName;
  TextDocuments text_documents = TextDocuments::kWholeFile;
  // Special tokens written in the text ("<|im_start|>") become their ids.
  bool parse_special = true;
  FileSystem* files = FileSystem::Posix();
};

struct PackResult {
  int64_t input_bytes = 0;  // of the files as they are, compressed or not
  int64_t text_bytes = 0;   // encoded, templates included
  // Sequences of the inputs that are not UTF-8; each became U+FFFD.
  int64_t replaced = 0;
  PackedCounts train;  // in `out`
  PackedCounts held_out;
};

struct PackProgress {
  int64_t input_bytes = 0;        // read so far
  int64_t input_bytes_total = 0;  // of all files; 0: only pipes
  std::string input;              // the file being read
  PackResult so_far;
};
// Called about every MiB of text, and at the end. An error stops the packing,
// which returns it and leaves no output.
using PackProgressFn = std::function<absl::Status(const PackProgress&)>;

// Memory is bounded: a few MiB, the longest line of JSON (at most 64 MiB)
// twice, and the window of Zstandard. The same inputs and options give the same
// bytes. Outputs appear whole or not at all; on any error neither is touched
// (but `out` may be in place when putting `held_out` in its place fails).
//
// kInvalidArgument: bad options; an input without text, of an unknown kind or
// that is binary or not UTF-8; a bad line, named with file and number; too
// little text for one row; a pipe whose last part is to be held out, for which
// it would have to be read twice. kNotFound: no such input. kDataLoss: a
// damaged compressed input. kFailedPrecondition: a tokenizer without EOS.
// kResourceExhausted: the disk is full.
absl::StatusOr<PackResult> PackData(const PackOptions& options,
                                    const PackProgressFn& progress = nullptr);

}  // namespace caracal

#endif  // CARACAL_JOBS_DATA_PACK_H_
