// Text from files: is it UTF-8, and how to print it.
#ifndef CARACAL_CORE_IO_UTF8_H_
#define CARACAL_CORE_IO_UTF8_H_

#include "core/base/utf8.h"
#include "core/io/quoted.h"

#endif  // CARACAL_CORE_IO_UTF8_H_
