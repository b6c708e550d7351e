// A whole conversion: load, train, measure, report. On one process, or the
// training of it as a rank of a gang.
#ifndef CARACAL_JOBS_CONVERT_CONVERSION_H_
#define CARACAL_JOBS_CONVERT_CONVERSION_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>

#include "absl/status/statusor.h"
#include "core/device/device.h"
#include "dist/gang/gang.h"
#include "eval/report/report_input.h"
#include "jobs/curriculum/source.h"
#include "jobs/train/metrics_writer.h"
#include "proto/job.pb.h"

namespace caracal {

// Who watches. All may be empty; called on the converting thread.
struct ConversionEvents {
  // A line for people: what was loaded, where it goes on.
  std::function<void(const std::string&)> note;
  // Steps taken so far, by the leading rank: before the first one of this
  // process, once what metrics.jsonl had of later ones is dropped; again where
  // the ranks are laid out anew.
  std::function<void(int64_t)> training;
  // A step's record, with the steps of its stage.
  std::function<void(const StepRecord&)> step;
  // After each pass of the measurement: its name, passes done, passes in all.
  std::function<void(const std::string&, int, int)> measured;
};

struct ConversionOptions {
  proto::Job job;  // expanded and validated
  std::string run_folder;
  // Go on with the folder's run, from its newest checkpoint; from its first
  // step where none was saved yet.
  bool resume = false;
  // The ranks that train together; each calls, with the same job, its own stop
  // flag, and gets the same answer. They share out rows and heads as the job's
  // `parallel` says, and only train: call again without a gang, to resume, for
  // the report. Null: one process does it all.
  Gang* gang = nullptr;
  // Looked at between steps, measured batches and parts of the loading. Null:
  // never stops.
  const std::atomic<bool>* stop = nullptr;
  // Whether a command of people's started it: what stopped it says with which
  // it goes on. A coordinator does that by itself.
  bool by_command = true;
  // Whom the leading rank asks what curricula set. Null: the job alone.
  CurriculumSource* curriculum = nullptr;
  ConversionEvents events;
  // For tests: ranks that share one GPU, and who makes their groups on it; NCCL
  // wants one for each rank.
  std::function<absl::StatusOr<AxisGroups>(AxisGroups, Device*)> on_shared_gpu;
};

// What the report shows, and the folder holds. kCancelled when stopped, be it
// while loading, training or measuring: the message says what is saved, and how
// people go on. kAlreadyExists: the folder holds a run and `resume` is off.
// kNotFound: it holds none and `resume` is on. kFailedPrecondition: another
// process is writing to it, or its job, model or data differ from this job's,
// field by field; or ranks of a gang have different ones.
absl::StatusOr<ReportInput> RunConversion(const ConversionOptions& options);

}  // namespace caracal

#endif  // CARACAL_JOBS_CONVERT_CONVERSION_H_
