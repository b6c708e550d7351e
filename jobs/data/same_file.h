// Whether two paths lead to one file.
#ifndef CARACAL_JOBS_DATA_SAME_FILE_H_
#define CARACAL_JOBS_DATA_SAME_FILE_H_

#include <string>

namespace caracal {

// Also where they are spelled differently, or by way of links where both are
// there.
bool SameFile(const std::string& a, const std::string& b);

}  // namespace caracal

#endif  // CARACAL_JOBS_DATA_SAME_FILE_H_
