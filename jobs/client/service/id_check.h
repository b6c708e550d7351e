// Numbers of jobs, gangs and evaluations on a command line.
#ifndef CARACAL_JOBS_CLIENT_SERVICE_ID_CHECK_H_
#define CARACAL_JOBS_CLIENT_SERVICE_ID_CHECK_H_

#include <string>

namespace caracal {

// For CLI::Option::check: what is wrong with a number that counts from 1; "":
// nothing.
std::string CheckId(const std::string& text);

}  // namespace caracal

#endif  // CARACAL_JOBS_CLIENT_SERVICE_ID_CHECK_H_
