#include "jobs/data/pack.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <utility>

#include "absl/strings/ascii.h"
#include "core/base/status.h"
#include "core/io/dataset/packed_dataset.h"
#include "jobs/data/byte_source.h"
#include "jobs/data/pipe_source.h"
#include "jobs/data/same_file.h"
#include "jobs/data/text_source.h"

namespace caracal {
namespace {

constexpr int64_t kMaxSeqLen = (int64_t{1} << 24) - 2;
constexpr int64_t kProgressBytes = 1 << 20;

// Encodes documents and deals them out to the two outputs.
class Packer : public DocumentSink {
 public:
  Packer(const PackOptions& options, const PackProgressFn& progress)
      : options_(options), tokenizer_(*options.tokenizer), report_(progress) {}

  absl::Status Open();
  absl::Status Begin(Part part) override;
  absl::Status Add(absl::string_view text, bool in_loss) override;
  absl::Status End() override;
  absl::Status Commit();

  absl::Status ReadInput(const std::string& path);
  absl::Status CheckInputs();
  PackResult Result() const;
  absl::Status Report();

 private:
  absl::Status ReadTextInput(const std::string& path, TextSource* source);
  // The byte of a text file from which on it is held out; -1: nowhere.
  absl::StatusOr<int64_t> SplitAt(const std::string& path) const;
  bool HasHeldOut() const { return !options_.held_out.empty(); }
  absl::Status CommitOne(const std::string& path, const char* split,
                         RowWriter* writer) const;

  const PackOptions& options_;
  const Tokenizer& tokenizer_;
  const PackProgressFn& report_;
  std::unique_ptr<RowWriter> train_;
  std::unique_ptr<RowWriter> held_out_;  // null: none wanted

  RowWriter* current_ = nullptr;  // of the document being read
  bool begun_ = false;            // it has tokens
  int64_t turns_ = 0;             // documents dealt out by turn
  std::vector<int32_t> ids_;

  const TextSource* source_ = nullptr;
  bool seen_text_ = false;  // in this input: more than white space
  PackProgress progress_;
  int64_t read_before_ = 0;      // bytes of the inputs that are done
  int64_t replaced_before_ = 0;  // sequences of these
  int64_t reported_at_ = 0;      // bytes of text
};

absl::Status Packer::Open() {
  ASSIGN_OR_RETURN(train_, RowWriter::Create(options_.out, options_.seq_len + 1,
                                             options_.files));
  if (!HasHeldOut()) return absl::OkStatus();
  ASSIGN_OR_RETURN(held_out_,
                   RowWriter::Create(options_.held_out, options_.seq_len + 1,
                                     options_.files));
  return absl::OkStatus();
}

absl::Status Packer::Begin(Part part) {
  bool held_out = part == Part::kHeldOut;
  if (part == Part::kByTurn && HasHeldOut()) {
    // Evenly spread, whatever the fraction.
    const auto before = static_cast<double>(turns_);
    held_out = std::floor((before + 1) * options_.held_out_fraction) >
               std::floor(before * options_.held_out_fraction);
    ++turns_;
  }
  current_ = held_out ? held_out_.get() : train_.get();
  begun_ = false;
  return absl::OkStatus();
}

absl::Status Packer::Add(absl::string_view text, bool in_loss) {
  if (text.empty()) return absl::OkStatus();
  ids_.clear();
  RETURN_IF_ERROR(tokenizer_.Encode(
      text, {.add_special = false, .parse_special = options_.parse_special},
      &ids_));
  if (!begun_ && !ids_.empty()) {
    begun_ = true;
    RETURN_IF_ERROR(current_->Add(tokenizer_.prefix_ids(), in_loss));
  }
  RETURN_IF_ERROR(current_->Add(ids_, in_loss));
  seen_text_ = seen_text_ || !absl::StripAsciiWhitespace(text).empty();
  progress_.so_far.text_bytes += static_cast<int64_t>(text.size());
  if (progress_.so_far.text_bytes - reported_at_ < kProgressBytes) {
    return absl::OkStatus();
  }
  return Report();
}

absl::Status Packer::End() {
  if (begun_) {
    const int32_t eos = tokenizer_.eos_id();
    RETURN_IF_ERROR(current_->Add(absl::MakeConstSpan(&eos, 1), true));
  }
  current_->EndDocument();
  return absl::OkStatus();
}

absl::StatusOr<int64_t> Packer::SplitAt(const std::string& path) const {
  if (!HasHeldOut()) return -1;
  if (options_.files == FileSystem::Posix() && IsPipe(path)) {
    return absl::InvalidArgumentError(absl::StrCat(
        path,
        ": is a pipe, and how long its text is can't be known before its "
        "last part is to be held out: give a file, or let blank lines "
        "divide it into documents"));
  }
  // A compressed file doesn't say how much text it holds: read it for that.
  ASSIGN_OR_RETURN(const std::unique_ptr<ByteSource> source,
                   OpenByteSource(path, options_.files));
  std::vector<char> block(256 << 10);
  int64_t bytes = 0;
  while (true) {
    ASSIGN_OR_RETURN(const size_t n, source->Read(block.data(), block.size()));
    if (n == 0) break;
    bytes += static_cast<int64_t>(n);
  }
  return static_cast<int64_t>(static_cast<double>(bytes) *
                              (1 - options_.held_out_fraction));
}

absl::Status Packer::ReadInput(const std::string& path) {
  ASSIGN_OR_RETURN(const std::unique_ptr<ByteSource> bytes,
                   OpenByteSource(path, options_.files));
  TextSource source(path, bytes.get());
  InputFormat format = options_.format;
  if (format == InputFormat::kByName) {
    ASSIGN_OR_RETURN(format, FormatOfName(path));
  }
  if (format == InputFormat::kByContent) {
    ASSIGN_OR_RETURN(const absl::string_view start, source.Peek());
    format = FormatOfContent(start);
  }
  source_ = &source;
  seen_text_ = false;
  progress_.input = path;
  const absl::Status status =
      format == InputFormat::kJsonLines
          ? ReadJsonLines(path, &source, this, &replaced_before_)
          : ReadTextInput(path, &source);
  source_ = nullptr;
  RETURN_IF_ERROR(status);
  read_before_ += source.file_bytes();
  replaced_before_ += source.replaced();
  if (seen_text_) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      path, ": there is no text in it",
      source.file_bytes() == 0 ? ": it is empty" : " but white space"));
}

absl::Status Packer::ReadTextInput(const std::string& path,
                                   TextSource* source) {
  TextOptions text = {.documents = options_.text_documents};
  if (text.documents == TextDocuments::kWholeFile) {
    ASSIGN_OR_RETURN(text.split_at, SplitAt(path));
  }
  return ReadText(path, text, source, this);
}

// Better refused now than after hours.
absl::Status Packer::CheckInputs() {
  for (const std::string& path : options_.inputs) {
    if (options_.files->IsFolder(path)) {
      return absl::InvalidArgumentError(absl::StrCat(
          path, ": is a folder; give the files in it that are to be read"));
    }
    if (options_.format == InputFormat::kByName) {
      RETURN_IF_ERROR(FormatOfName(path).status());
    }
    ASSIGN_OR_RETURN(const uint64_t bytes, options_.files->FileSize(path));
    progress_.input_bytes_total += static_cast<int64_t>(bytes);
  }
  return absl::OkStatus();
}

PackResult Packer::Result() const {
  PackResult result = progress_.so_far;
  result.input_bytes =
      read_before_ + (source_ == nullptr ? 0 : source_->file_bytes());
  result.replaced =
      replaced_before_ + (source_ == nullptr ? 0 : source_->replaced());
  result.train = train_->counts();
  if (held_out_ != nullptr) result.held_out = held_out_->counts();
  return result;
}

absl::Status Packer::Report() {
  reported_at_ = progress_.so_far.text_bytes;
  if (report_ == nullptr) return absl::OkStatus();
  progress_.so_far = Result();
  progress_.input_bytes = progress_.so_far.input_bytes;
  return report_(progress_);
}

absl::Status Packer::CommitOne(const std::string& path, const char* split,
                               RowWriter* writer) const {
  const PackedCounts& counts = writer->counts();
  if (counts.rows == 0) {
    return absl::InvalidArgumentError(absl::StrCat(
        path, ": the ", split, " part has ", counts.tokens,
        " tokens in all, and no row of ", options_.seq_len + 1,
        " tokens with a target: more text or a smaller --seq-len is needed"));
  }
  hdf5::File& file = *writer->file();
  const auto set = [&file](const char* name, auto value) {
    return file.SetAttribute("/", name, value);
  };
  RETURN_IF_ERROR(set("format", absl::string_view(kPackedFormat)));
  RETURN_IF_ERROR(set("format_version", kPackedVersion));
  RETURN_IF_ERROR(set("split", absl::string_view(split)));
  RETURN_IF_ERROR(set("seq_len", options_.seq_len));
  RETURN_IF_ERROR(set("tokenizer_fingerprint",
                      absl::string_view(tokenizer_.fingerprint())));
  RETURN_IF_ERROR(set("vocab_size", int64_t{tokenizer_.vocab_size()}));
  RETURN_IF_ERROR(set("eos_id", int64_t{tokenizer_.eos_id()}));
  RETURN_IF_ERROR(set("max_token_id", int64_t{writer->max_token_id()}));
  RETURN_IF_ERROR(set("documents", counts.documents));
  RETURN_IF_ERROR(set("tokens", counts.tokens));
  RETURN_IF_ERROR(set("masked_tokens", counts.masked_tokens));
  RETURN_IF_ERROR(set("dropped_rows", counts.dropped_rows));
  RETURN_IF_ERROR(set("dropped_tail_tokens", counts.dropped_tail_tokens));
  RETURN_IF_ERROR(set("replaced_sequences", Result().replaced));
  return absl::OkStatus();
}

absl::Status Packer::Commit() {
  RETURN_IF_ERROR(train_->Finish());
  RETURN_IF_ERROR(CommitOne(options_.out, "train", train_.get()));
  if (HasHeldOut()) {
    RETURN_IF_ERROR(held_out_->Finish());
    RETURN_IF_ERROR(CommitOne(options_.held_out, "held_out", held_out_.get()));
  }
  RETURN_IF_ERROR(Report());
  // Both are complete before either appears.
  RETURN_IF_ERROR(train_->Commit());
  if (HasHeldOut()) return held_out_->Commit();
  return absl::OkStatus();
}

// No path may stand for two things: an output would replace an input, or the
// other output. An output begins under a temporary name.
absl::Status CheckPaths(const PackOptions& options) {
  std::vector<std::string> outputs = {options.out};
  if (!options.held_out.empty()) outputs.push_back(options.held_out);
  for (const std::string& out : outputs) {
    if (options.files->IsFolder(out)) {
      return absl::InvalidArgumentError(
          absl::StrCat(out, ": is a folder, not a file to write"));
    }
    for (const std::string& input : options.inputs) {
      if (!SameFile(input, out) && !SameFile(input, out + ".tmp")) continue;
      return absl::InvalidArgumentError(
          absl::StrCat(input, ": is an input and an output at once (", out,
                       " is written by way of ", out, ".tmp)"));
    }
  }
  if (!options.held_out.empty() &&
      (SameFile(options.out, options.held_out) ||
       SameFile(options.out + ".tmp", options.held_out) ||
       SameFile(options.out, options.held_out + ".tmp"))) {
    return absl::InvalidArgumentError(absl::StrCat(
        options.out, ": is the output and the held-out file at once"));
  }
  return absl::OkStatus();
}

absl::Status CheckOptions(const PackOptions& options) {
  CARACAL_CHECK(options.tokenizer != nullptr);
  const auto bad = [](absl::string_view message) {
    return absl::InvalidArgumentError(message);
  };
  if (options.inputs.empty()) return bad("no input file is given");
  if (options.out.empty()) return bad("no output file is given");
  if (options.seq_len < 1 || options.seq_len > kMaxSeqLen) {
    return bad(absl::StrCat("seq_len ", options.seq_len,
                            " is out of range: 1 to ", kMaxSeqLen));
  }
  const double fraction = options.held_out_fraction;
  if (options.held_out.empty() ? fraction != 0
                               : !(fraction > 0 && fraction < 1)) {
    return bad(absl::StrCat("held-out fraction ", fraction,
                            options.held_out.empty()
                                ? " is given without a held-out file"
                                : " is out of range: between 0 and 1"));
  }
  if (options.tokenizer->eos_id() < 0) {
    return absl::FailedPreconditionError(absl::StrCat(
        options.tokenizer->source(),
        ": the tokenizer names no EOS token, which ends each document"));
  }
  return CheckPaths(options);
}

}  // namespace

absl::StatusOr<PackResult> PackData(const PackOptions& options,
                                    const PackProgressFn& progress) {
  RETURN_IF_ERROR(CheckOptions(options));
  Packer packer(options, progress);
  RETURN_IF_ERROR(packer.CheckInputs());
  RETURN_IF_ERROR(packer.Open());
  for (const std::string& input : options.inputs) {
    RETURN_IF_ERROR(packer.ReadInput(input));
  }
  RETURN_IF_ERROR(packer.Commit());
  return packer.Result();
}

}  // namespace caracal
