#include "jobs/train/tensorboard_writer.h"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "absl/time/time.h"
#include "core/base/crc32c.h"
#include "core/base/status.h"
#include "proto/tensorboard.pb.h"

namespace caracal {
namespace {

constexpr char kFileVersion[] = "brain.Event:2";
constexpr char kPrefix[] = "events.out.tfevents.";
constexpr int64_t kMicrosASecond = 1'000'000;

// When a file of this name was begun, since 1970; -1: it is none of ours.
int64_t MicrosOf(absl::string_view name) {
  if (!absl::ConsumePrefix(&name, kPrefix)) return -1;
  const std::pair<absl::string_view, absl::string_view> parts =
      absl::StrSplit(name, '.');
  int64_t seconds = 0, micros = 0;
  if (!absl::SimpleAtoi(parts.first, &seconds) ||
      !absl::SimpleAtoi(parts.second, &micros)) {
    return -1;
  }
  return seconds * kMicrosASecond + micros;
}

void AppendLittleEndian(uint64_t value, int bytes, std::string* out) {
  for (int i = 0; i < bytes; ++i) {
    out->push_back(static_cast<char>(value >> (8 * i)));
  }
}

// A CRC of bytes that hold CRCs themselves is weak: so it is turned and moved.
uint32_t Masked(uint32_t crc) {
  return ((crc >> 15) | (crc << 17)) + 0xA282EAD8u;
}

std::string Record(const tensorboard::Event& event) {
  const std::string data = event.SerializeAsString();
  std::string out;
  AppendLittleEndian(data.size(), 8, &out);
  AppendLittleEndian(Masked(Crc32c(out)), 4, &out);
  out += data;
  AppendLittleEndian(Masked(Crc32c(data)), 4, &out);
  return out;
}

double Seconds(absl::Time time) {
  return absl::ToDoubleSeconds(time - absl::UnixEpoch());
}

}  // namespace

void TensorBoardWriter::Start(int64_t global_step) {
  path_.clear();
  global_step_ = global_step;
}

absl::Status TensorBoardWriter::OpenFile() {
  const absl::Time now = clock_->WallTime();
  // TensorBoard reads files in the order of their names: this one comes last,
  // even when the clock was set back.
  int64_t micros = absl::ToUnixMicros(now);
  ASSIGN_OR_RETURN(const std::vector<std::string> names, files_->List(folder_));
  for (const std::string& name : names) {
    micros = std::max(micros, MicrosOf(name) + 1);
  }
  const std::string path = JoinPath(
      folder_, absl::StrFormat("%s%010d.%06d", kPrefix, micros / kMicrosASecond,
                               micros % kMicrosASecond));
  tensorboard::Event first;
  first.set_wall_time(Seconds(now));
  first.set_file_version(kFileVersion);
  tensorboard::Event start;
  start.set_wall_time(Seconds(now));
  start.set_step(global_step_ + 1);
  start.mutable_session_log()->set_status(tensorboard::SessionLog::START);
  RETURN_IF_ERROR(files_->Append(path, Record(first) + Record(start)));
  path_ = path;
  return absl::OkStatus();
}

absl::Status TensorBoardWriter::Write(const StepRecord& record) {
  if (path_.empty()) RETURN_IF_ERROR(OpenFile());
  tensorboard::Event event;
  event.set_wall_time(Seconds(clock_->WallTime()));
  event.set_step(record.global_step);
  const auto put = [&](const char* name, double value) {
    tensorboard::Summary::Value* out = event.mutable_summary()->add_value();
    out->set_tag(absl::StrCat(record.stage, "/", name));
    out->set_simple_value(static_cast<float>(value));
  };
  put("loss", record.loss);
  put("learning_rate", record.learning_rate);
  put("grad_norm", record.grad_norm);
  put("tokens_per_s", record.tokens_per_s);
  ForEachMeasured(record, put);
  if (const double mean = MeanLaMass(record); !std::isnan(mean)) {
    put("la_mass", mean);
  }
  // A group of their own, so that they don't bury the others.
  for (size_t layer = 0; layer < record.la_mass.size(); ++layer) {
    if (std::isnan(record.la_mass[layer])) continue;
    tensorboard::Summary::Value* out = event.mutable_summary()->add_value();
    out->set_tag(absl::StrFormat("%s_la_mass/layer_%03d", record.stage, layer));
    out->set_simple_value(static_cast<float>(record.la_mass[layer]));
  }
  return files_->Append(path_, Record(event));
}

}  // namespace caracal
