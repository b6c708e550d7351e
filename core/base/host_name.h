// What this machine calls itself.
#ifndef CARACAL_CORE_BASE_HOST_NAME_H_
#define CARACAL_CORE_BASE_HOST_NAME_H_

#include <string>

namespace caracal {

// As gethostname() has it; "localhost" where it has none.
std::string HostName();

}  // namespace caracal

#endif  // CARACAL_CORE_BASE_HOST_NAME_H_
