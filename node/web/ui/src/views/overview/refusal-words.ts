/** What a reason for a refusal means, and what to do: as "Is the cluster well?" of the operations guide has it. */
const REASONS: readonly (readonly [begins: string, means: string, next: string])[] = [
  [
    "refused: no member",
    "Somebody knocks who does not belong to the cluster",
    "A host of yours: invite it again. A revoked one: stop it",
  ],
  [
    "older process or copied key",
    "Two nodes run with one key",
    "Stop the copy; the original comes back by itself",
  ],
  [
    "this node's key is in use elsewhere",
    "Another process runs with this node's key",
    "Stop the copy; the original comes back by itself",
  ],
  [
    "no answer at an address",
    "A node can't be reached at an address that it told",
    "Start it, or let its port through the firewall",
  ],
  [
    "term too old",
    "A coordinator that was frozen or cut off still spoke; nobody obeyed",
    "Nothing, unless it comes again: then look at that host and its network",
  ],
  [
    "clock far ahead",
    "A host's clock is more than five minutes ahead of this one's",
    "Set whichever clock is wrong",
  ],
  [
    "this host's clock is behind",
    "This host's clock is behind that of the others",
    "Set this host's clock",
  ],
  [
    "join refused",
    "Somebody could not join",
    "Invite them again: a token is good once and for a while",
  ],
  [
    "discovery failed",
    "The local network can't be searched for nodes",
    "Nothing where nodes are invited; else let multicast through",
  ],
  [
    "state not written",
    "This node can't write its state",
    "Free or repair the volume of its data directory",
  ],
  ["flood", "A link was closed: the other side sent too much", "Look at that node's log"],
  ["slow reader", "A link was closed: the other side took nothing", "Look at that node's load"],
  [
    "TLS handshake failed",
    "Somebody could not agree on TLS with this node",
    "Look which certificate they trust",
  ],
  ...["link of a former member cut", "bulk connection of a former member cut"].map(
    (reason) =>
      [
        reason,
        "Who is a member no more was still connected",
        "Nothing: the connection was cut",
      ] as const,
  ),
  ...["no request in time", "no body in time", "answer not read in time"].map(
    (reason) =>
      [
        reason,
        "Somebody opened a connection and did not go on",
        "Nothing, unless it comes again and again: then look who it is",
      ] as const,
  ),
];

/** Without a reason that is known it stands for itself. */
export function refusalWords(reason: string): { means: string; next: string } {
  const [, means, next] = REASONS.find(([begins]) => reason.startsWith(begins)) ?? [
    "",
    "Something was refused",
    "The operations guide has each reason under “Is the cluster well?”",
  ];
  return { means, next };
}
