// Which call needs which role: every method of every service has a row.
#ifndef CARACAL_JOBS_COORDINATOR_ACCESS_METHOD_TABLE_H_
#define CARACAL_JOBS_COORDINATOR_ACCESS_METHOD_TABLE_H_

#include <optional>

#include "absl/strings/string_view.h"
#include "jobs/coordinator/access/role.h"

namespace caracal {

struct MethodRule {
  const char* method;  // "Jobs.Submit"
  // None: the gang's credential decides (rpc/gangs_service.h), nothing else.
  std::optional<Role> needed;
  bool changes = false;  // something: goes into the audit log
};

// Null for a method without a row.
const MethodRule* FindMethodRule(absl::string_view method);

}  // namespace caracal

#endif  // CARACAL_JOBS_COORDINATOR_ACCESS_METHOD_TABLE_H_
