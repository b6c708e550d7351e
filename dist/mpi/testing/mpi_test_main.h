// For tests that run as several ranks (tools/mpi/mpi_test.bzl): every rank runs
// every test case, side by side, and a case fails when it fails on any.
#ifndef CARACAL_DIST_MPI_TESTING_MPI_TEST_MAIN_H_
#define CARACAL_DIST_MPI_TESTING_MPI_TEST_MAIN_H_

#include "dist/mpi/mpi_runtime.h"

namespace caracal {

// Of this process, for the test cases.
MpiRuntime& TestRuntime();

}  // namespace caracal

#endif  // CARACAL_DIST_MPI_TESTING_MPI_TEST_MAIN_H_
