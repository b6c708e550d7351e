#include "jobs/train/tensorboard_writer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <vector>

#include "absl/strings/match.h"
#include "core/base/crc32c.h"
#include "core/base/fake_clock.h"
#include "core/base/status_matchers.h"
#include "core/base/temporary_folder.h"
#include "proto/tensorboard.pb.h"

namespace caracal {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing::UnorderedElementsAre;

StepRecord Record(int64_t step) {
  StepRecord r;
  r.stage = "transfer";
  r.step = r.global_step = step;
  r.loss = 0.5 * static_cast<double>(step);
  r.curriculum.drop_probability = 0;
  return r;
}

// All events of a file, whose checksums have to be right.
std::vector<tensorboard::Event> ReadEvents(const std::string& path) {
  const std::string text = *FileSystem::Posix()->ReadFile(path);
  std::vector<tensorboard::Event> events;
  size_t at = 0;
  const auto take = [&](void* out, size_t bytes) {
    std::memcpy(out, text.data() + at, bytes);
    at += bytes;
  };
  const auto masked = [](absl::string_view bytes) {
    const uint32_t crc = Crc32c(bytes);
    return ((crc >> 15) | (crc << 17)) + 0xA282EAD8u;
  };
  while (at < text.size()) {
    uint64_t length = 0;
    uint32_t crc = 0;
    take(&length, sizeof(length));
    take(&crc, sizeof(crc));
    EXPECT_EQ(crc, masked(text.substr(at - 12, 8)));
    const std::string data = text.substr(at, length);
    at += length;
    take(&crc, sizeof(crc));
    EXPECT_EQ(crc, masked(data));
    EXPECT_TRUE(events.emplace_back().ParseFromString(data));
  }
  return events;
}

class TensorBoardWriterTest : public ::testing::Test {
 protected:
  std::vector<std::string> Names() {
    return *FileSystem::Posix()->List(folder_.path());
  }

  TemporaryFolder folder_;
  FakeClock clock_;
  TensorBoardWriter writer_{FileSystem::Posix(), &clock_, folder_.path()};
};

TEST_F(TensorBoardWriterTest, WritesValuesAndZerosButNotWhatIsMissing) {
  writer_.Start(0);
  EXPECT_THAT(Names(), IsEmpty());
  ASSERT_OK(writer_.Write(Record(1)));
  clock_.Advance(absl::Milliseconds(1500));
  ASSERT_OK(writer_.Write(Record(2)));
  ASSERT_THAT(Names(), ElementsAre("events.out.tfevents.0946684800.000000"));
  const auto events = ReadEvents(folder_.File(Names()[0]));
  ASSERT_EQ(events.size(), 4u);
  EXPECT_EQ(events[0].file_version(), "brain.Event:2");
  EXPECT_EQ(events[1].step(), 1);
  EXPECT_EQ(events[1].session_log().status(), tensorboard::SessionLog::START);
  EXPECT_EQ(events[3].step(), 2);
  EXPECT_EQ(events[3].wall_time(), 946684801.5);
  std::map<std::string, float> values;
  for (const auto& value : events[3].summary().value()) {
    EXPECT_TRUE(value.has_simple_value()) << value.tag();
    values[value.tag()] = value.simple_value();
  }
  EXPECT_THAT(values,
              UnorderedElementsAre(Pair("transfer/loss", 1),
                                   Pair("transfer/grad_norm", 0),
                                   Pair("transfer/learning_rate", 0),
                                   Pair("transfer/tokens_per_s", 0),
                                   Pair("transfer/drop_probability", 0)));
}

TEST_F(TensorBoardWriterTest, LaMassIsToldByLayerAndAsAMean) {
  StepRecord record = Record(1);
  record.la_mass = {0.25, kNotMeasured, 0.75};
  writer_.Start(0);
  ASSERT_OK(writer_.Write(record));
  const auto events = ReadEvents(folder_.File(Names()[0]));
  ASSERT_EQ(events.size(), 3u);
  std::map<std::string, float> values;
  for (const auto& value : events[2].summary().value()) {
    if (absl::StrContains(value.tag(), "la_mass")) {
      values[value.tag()] = value.simple_value();
    }
  }
  EXPECT_THAT(values,
              UnorderedElementsAre(Pair("transfer/la_mass", 0.5),
                                   Pair("transfer_la_mass/layer_000", 0.25),
                                   Pair("transfer_la_mass/layer_002", 0.75)));
}

TEST_F(TensorBoardWriterTest, AStartHasAFileThatComesLast) {
  writer_.Start(0);
  ASSERT_OK(writer_.Write(Record(1)));
  ASSERT_OK(writer_.Write(Record(2)));
  clock_.SetWallTime(absl::UnixEpoch());
  writer_.Start(1);
  ASSERT_OK(writer_.Write(Record(2)));
  ASSERT_OK(FileSystem::Posix()->Append(folder_.File("metrics.jsonl"), "{}"));
  ASSERT_THAT(Names(), ElementsAre("events.out.tfevents.0946684800.000000",
                                   "events.out.tfevents.0946684800.000001",
                                   "metrics.jsonl"));
  EXPECT_EQ(ReadEvents(folder_.File(Names()[0])).size(), 4u);
  const auto events = ReadEvents(folder_.File(Names()[1]));
  ASSERT_EQ(events.size(), 3u);
  EXPECT_EQ(events[1].step(), 2);
  EXPECT_EQ(events[1].session_log().status(), tensorboard::SessionLog::START);
}

}  // namespace
}  // namespace caracal
