// Scripts: text commands to bare cores, with the expected print below each. A script documents its
// run; IRIS_REWRITE=1 rewrites the prints, and the difference is reviewed.
// One thread. Owns a cluster for the length of one script.
//
//   # a comment
//   command [NODE...] [key=value...] [flag...]
//   ----
//   the print, up to an empty line
//
// Commands (N, M: nodes; I: an index; T/I: an entry by term and index):
//   options [election=] [heartbeat=] [append-bytes=] [window-bytes=] [window-messages=]
//           [entry-bytes=] [uncommitted-bytes=] [promote-lag=] [disk-stall=] [seed=]
//   add-nodes COUNT [learners=N,..]      voters 1..COUNT, each with the configuration as entry 1/1
//   add-node N [members=N,..] [learners=N,..] [terms=T,..] [term=T] [vote=M] [applied=I]
//                                        one node with such a disk; without members: a newcomer
//   elect N                              campaign and settle, without prints
//   bootstrap N | campaign N | tick N [COUNT] | persist N [JOBS] | status N | log N | members N |
//   flush N
//   apply N [I]                          entries from now on by hand, up to I
//   propose N [TEXT] [bytes=] [count=] | read N   (a read leaves with `flush`)
//   transfer N [to=M] [without=M,..]     without: no connection to these
//   change N add=M | promote=M [replaces=M] | remove=M | address=M:TEXT [force]
//   trim N I | pin N | snapshot N to=M [lost]   (the pinned one, else the applied state)
//   crash N [kept=JOBS] [data=I] | restart N
//   wire                                 the messages in transit
//   deliver [from=N] [to=M] [kind=KIND] [keep] | drop [from=N] [to=M] [kind=KIND]
//                                        the messages in transit now, not their consequences
//   send N>M tT KIND [last=T/I] [transfer] [yes] [after=T/I] [entries=T/I,..] [commit=I]
//            [matched=I] [refused=I] [try=T/I] [round=] [match=I] [verified=I] [durable=I] [by=I]
//            [at=T/I] [unflushed]        as if node N had sent it; delivered at once
//   settle [cut=..] [lose=KIND]          disks and messages, until nothing moves
//   run TICKS [cut=..] [lose=KIND]       every node ticks, settle after each tick
//     cut: 3 (all links of a node), 1-2 (both ways), 1>2 (one way), or several
//   quiet on any command: without messages, disks and applied entries
#pragma once

#include <string>

namespace iris::raft::test {

// Runs `script` and returns it with the prints that came out.
[[nodiscard]] std::string run_script(const std::string& script);

}  // namespace iris::raft::test
