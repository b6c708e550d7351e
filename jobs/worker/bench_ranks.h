// `caracal-worker bench`: the speed of a stage by several ranks.
#ifndef CARACAL_JOBS_WORKER_BENCH_RANKS_H_
#define CARACAL_JOBS_WORKER_BENCH_RANKS_H_

namespace caracal {

// One rank of it; argv[0] is the program's name, and what follows are the
// options of `caracal bench` with those of the layout. The exit status; an
// error of one rank ends all of them.
int BenchRank(int argc, char** argv);

}  // namespace caracal

#endif  // CARACAL_JOBS_WORKER_BENCH_RANKS_H_
