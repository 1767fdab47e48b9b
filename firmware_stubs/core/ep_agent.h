/* The agent: answers the host on the port's line, for ever. */
#ifndef EP_AGENT_H
#define EP_AGENT_H

#define EP_VERSION "1.0"

void ep_agent_run(void);

#endif
