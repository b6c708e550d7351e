// For tests: authorities, and certificates that they sign.
#ifndef CARACAL_JOBS_COORDINATOR_ACCESS_TESTING_CERTIFICATES_H_
#define CARACAL_JOBS_COORDINATOR_ACCESS_TESTING_CERTIFICATES_H_

#include <string>

#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace caracal {

struct TestCertificate {
  std::string certificate, key;  // PEM
};

// Of the common name `name`, signed by `signer`, or by itself where that is
// null. `host`: of a server, "DNS:localhost"; "": none.
TestCertificate MakeTestCertificate(
    const std::string& name, const TestCertificate* signer = nullptr,
    absl::Time begins = absl::Now() - absl::Hours(1),
    absl::Time ends = absl::Now() + absl::Hours(1),
    const std::string& host = "");

}  // namespace caracal

#endif  // CARACAL_JOBS_COORDINATOR_ACCESS_TESTING_CERTIFICATES_H_
