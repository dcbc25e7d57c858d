#!/bin/sh
# Started by ssh (ProxyCommand HOST PORT) for a granted server: carries its bytes through the run's proxy.
# With --able it only says whether the image has something to do it with.
has() { command -v "$1" >/dev/null 2>&1; }
if has perl; then with=perl
elif has bash; then with=bash
elif has nc; then with=nc
else with=
fi
if [ "$1" = --able ]; then
  [ -n "$with" ]
  exit
fi

case $1 in
*:*) place="[$1]:$2" ;;
*) place="$1:$2" ;;
esac
read -r proxy port credentials </moat/ssh/proxy
export proxy port credentials place
cr=$(printf '\r')

request() {
  printf 'CONNECT %s HTTP/1.1\r\nHost: %s\r\nProxy-Authorization: Basic %s\r\nConnection: close\r\n\r\n' \
    "$place" "$place" "$credentials"
}

# Whether the head of the answer, which it reads and no byte more, says yes; where not, why not.
answered() {
  said=
  IFS= read -r line
  case $line in
  HTTP/1.?" 200"*)
    while IFS= read -r line; do
      [ "$line" = "$cr" ] && return 0
    done
    ;;
  esac
  while IFS= read -r line || [ -n "$line" ]; do
    case $line in "why: "* | "remedy: "*)
      said=1
      printf 'moat: %s\n' "${line#*: }" >&2
      ;;
    esac
  done
  [ -n "$said" ] || echo "moat: the run's proxy made no connection to $place" >&2
  return 1
}

case $with in
perl)
  exec perl -MIO::Select -MIO::Socket::INET -e '
$SIG{PIPE} = "IGNORE";
my ($proxy, $port, $credentials, $place) = @ENV{qw(proxy port credentials place)};
my $server = IO::Socket::INET->new(PeerHost => $proxy, PeerPort => $port, Timeout => 10)
  or die "moat: the run has no proxy any more: $@\n";
send_all($server, "CONNECT $place HTTP/1.1\r\nHost: $place\r\n"
  . "Proxy-Authorization: Basic $credentials\r\nConnection: close\r\n\r\n");
my $head = "";
while ($head !~ /\r\n\r\n\z/) {
  sysread($server, $head, 1, length $head) or last;
}
if ($head !~ m{\AHTTP/1\.[01] 200 .*\r\n\r\n\z}s) {
  my $body = "";
  while (sysread($server, $body, 65536, length $body)) {}
  my @said = $body =~ /^(?:why|remedy): (.*)$/mg;
  @said = "the run\x27s proxy made no connection to $place" unless @said;
  print STDERR "moat: $_\n" for @said;
  exit 1;
}
my $both = IO::Select->new(\*STDIN, $server);
while (my @ready = $both->can_read) {
  for my $source (@ready) {
    sysread($source, my $data, 65536) or exit 0;
    send_all($source == $server ? \*STDOUT : $server, $data) or exit 0;
  }
}
sub send_all {
  my ($sink, $data) = @_;
  while (length $data) {
    my $sent = syswrite($sink, $data) or return 0;
    substr($data, 0, $sent, "");
  }
  return 1;
}
'
  ;;
bash)
  [ -n "$BASH_VERSION" ] || exec bash "$0" "$@"
  exec 4<&0 3<>"/dev/tcp/$proxy/$port" || exit 1
  request >&3
  answered <&3 || exit 1
  # What ssh waits for is the end of this process's output, so the server's side is the one that stays.
  {
    cat <&4
    kill $$
  } >&3 2>/dev/null &
  exec cat <&3 4<&-
  ;;
nc)
  exec 4<&0
  {
    request
    exec cat <&4 2>/dev/null
  } | nc "$proxy" "$port" | {
    answered && exec cat
  } &
  exec >&- 4<&-
  wait $!
  ;;
*)
  echo "moat: no way to $place: the image has none of perl, bash and nc" >&2
  exit 1
  ;;
esac
