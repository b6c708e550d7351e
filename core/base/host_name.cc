#include "core/base/host_name.h"

#include <unistd.h>

namespace caracal {

std::string HostName() {
  // Ends with a null, also where the name is cut.
  char name[256] = "";
  const bool known = gethostname(name, sizeof(name) - 1) == 0 && name[0] != 0;
  return known ? name : "localhost";
}

}  // namespace caracal
