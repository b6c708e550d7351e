// The release this program belongs to.
#ifndef CARACAL_CORE_BASE_VERSION_H_
#define CARACAL_CORE_BASE_VERSION_H_

namespace caracal {

inline constexpr char kVersion[] = "caracal 0.1";

}  // namespace caracal

#endif  // CARACAL_CORE_BASE_VERSION_H_
