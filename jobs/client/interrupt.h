// Ctrl-C and SIGTERM as a flag that long work looks at.
#ifndef CARACAL_JOBS_CLIENT_INTERRUPT_H_
#define CARACAL_JOBS_CLIENT_INTERRUPT_H_

#include <atomic>

namespace caracal {

// From now on the first SIGINT, SIGTERM or SIGUSR1 (which mpirun hands on to
// its ranks) sets the flag; a second one ends the process at once. Returns the
// flag, which lives as long as the process.
const std::atomic<bool>* CatchInterrupts();

// Sets the flag, as a signal would.
void RequestStop();

}  // namespace caracal

#endif  // CARACAL_JOBS_CLIENT_INTERRUPT_H_
