// Parts of what is said of training that goes on.
#ifndef CARACAL_JOBS_CLIENT_PROGRESS_WORDS_H_
#define CARACAL_JOBS_CLIENT_PROGRESS_WORDS_H_

#include <string>

namespace caracal {

// "0.5123"; large ones in four digits.
std::string LossText(double loss);

// A line of so many columns, heavy up to the share that is done, [0, 1].
std::string Bar(double done, int columns, bool unicode);

}  // namespace caracal

#endif  // CARACAL_JOBS_CLIENT_PROGRESS_WORDS_H_
