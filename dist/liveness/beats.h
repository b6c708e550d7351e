// Signs of life that ranks send each other in a ring.
#ifndef CARACAL_DIST_LIVENESS_BEATS_H_
#define CARACAL_DIST_LIVENESS_BEATS_H_

namespace caracal {

// Never blocks, and has no errors: what does not arrive is the sign. For one
// thread.
class Beats {
 public:
  virtual ~Beats() = default;
  // To the rank before this one.
  virtual void Send() = 0;
  // Whether any came, since the last call, from the rank after this one.
  virtual bool Receive() = 0;
};

}  // namespace caracal

#endif  // CARACAL_DIST_LIVENESS_BEATS_H_
