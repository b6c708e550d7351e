// `caracal data pack`: text files into packed rows of tokens.
#ifndef CARACAL_JOBS_CLIENT_DATA_PACK_H_
#define CARACAL_JOBS_CLIENT_DATA_PACK_H_

#include "jobs/client/command.h"

namespace caracal {

CommandBody DeclareDataPack(CLI::App& app);

}  // namespace caracal

#endif  // CARACAL_JOBS_CLIENT_DATA_PACK_H_
