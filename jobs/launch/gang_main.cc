// `caracal-gang FOLDER`: runs the gang of that folder in the background, and
// returns when it has begun. The coordinator starts it; mpirun starts it as
// `caracal-gang --rank PROGRAM ARGUMENTS...`, which becomes a rank.
#include <cstring>
#include <iostream>

#include "jobs/launch/gang_supervisor.h"

int main(int argc, char** argv) {
  if (argc >= 3 && std::strcmp(argv[1], "--rank") == 0) {
    return caracal::BecomeRank(argv + 2);
  }
  if (argc != 2 || argv[1][0] == '-') {
    std::cerr << "usage: caracal-gang FOLDER\n";
    return 2;
  }
  return caracal::SuperviseGang(argv[1]);
}
