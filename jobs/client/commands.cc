#include "jobs/client/commands.h"

#include "jobs/client/explain.h"

namespace caracal {
namespace {

constexpr Command kCommands[] = {
    {"explain", "show what a job does, with every setting written out",
     DeclareExplain},
};

}  // namespace

absl::Span<const Command> AllCommands() { return kCommands; }

}  // namespace caracal
