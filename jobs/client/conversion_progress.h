// A conversion's events as progress on a console.
#ifndef CARACAL_JOBS_CLIENT_CONVERSION_PROGRESS_H_
#define CARACAL_JOBS_CLIENT_CONVERSION_PROGRESS_H_

#include <optional>

#include "jobs/client/console.h"
#include "jobs/client/progress.h"
#include "jobs/convert/conversion.h"
#include "proto/job.pb.h"

namespace caracal {

// Outlives the conversion that has its events. Not thread-safe.
class ConversionProgress {
 public:
  ConversionProgress(const proto::Job& job, Console* console);

  ConversionEvents events();
  // The last line stays as it is.
  void Finish();

 private:
  Console* console_;
  Progress training_;
  std::optional<Progress> measuring_;
};

}  // namespace caracal

#endif  // CARACAL_JOBS_CLIENT_CONVERSION_PROGRESS_H_
