/* The Eclipse Paho C client on a command line, for test_mqtt_broker.py:
 *   paho-c-peer pub|sub|hold URI ID VERSION QOS TOPIC [key=value ...]
 * pub publishes what it reads from stdin; sub prints "READY", then a line for each message, and
 * ends after count=N of them; hold prints "READY" and waits to be killed (its will then goes out).
 * Keys: count, clean (0 or 1), retain, will-topic, will, ca, cert, key.
 * A message's line: TOPIC QOS RETAINED LENGTH FNV-1A-64.
 * Exit status: 0, or 1 with a sentence. */
#include <MQTTClient.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int complain(const char* what, int code) {
  fprintf(stderr, "paho-c-peer: %s: %d\n", what, code);
  return 1;
}

static const char* option(int argc, char** argv, const char* name, const char* otherwise) {
  const size_t length = strlen(name);
  for (int i = 7; i < argc; ++i)
    if (strncmp(argv[i], name, length) == 0 && argv[i][length] == '=') return argv[i] + length + 1;
  return otherwise;
}

static uint64_t fnv1a(const unsigned char* at, int size) {
  uint64_t hash = 0xcbf29ce484222325u;
  for (int i = 0; i < size; ++i) hash = (hash ^ at[i]) * 0x100000001b3u;
  return hash;
}

static int receive(MQTTClient client, int count) {
  while (count > 0) {
    char* topic = NULL;
    int length = 0;
    MQTTClient_message* message = NULL;
    const int code = MQTTClient_receive(client, &topic, &length, &message, 1000);
    if (message == NULL) {
      if (!MQTTClient_isConnected(client)) return complain("the connection has gone", code);
      continue;
    }
    printf("%s %d %d %d %016" PRIx64 "\n", topic, message->qos, message->retained,
           message->payloadlen, fnv1a(message->payload, message->payloadlen));
    fflush(stdout);
    MQTTClient_freeMessage(&message);
    MQTTClient_free(topic);
    --count;
  }
  return 0;
}

static int publish(MQTTClient client, int version, int qos, const char* topic, int retained) {
  const size_t most = 16 * 1024 * 1024;
  char* payload = malloc(most);
  const size_t size = fread(payload, 1, most, stdin);
  MQTTClient_message message = MQTTClient_message_initializer;
  message.payload = payload;
  message.payloadlen = (int)size;
  message.qos = qos;
  message.retained = retained;
  MQTTClient_deliveryToken token = 0;
  int code;
  if (version == 5) {
    const MQTTResponse response = MQTTClient_publishMessage5(client, topic, &message, &token);
    code = response.reasonCode;
    MQTTResponse_free(response);
  } else {
    code = MQTTClient_publishMessage(client, topic, &message, &token);
  }
  free(payload);
  if (code != 0) return complain("publish", code);
  code = qos > 0 ? MQTTClient_waitForCompletion(client, token, 20000) : 0;
  return code == 0 ? 0 : complain("waiting for the acknowledgement", code);
}

int main(int argc, char** argv) {
  if (argc < 7) return complain("pub|sub|hold URI ID VERSION QOS TOPIC [key=value ...]", argc);
  const char *what = argv[1], *topic = argv[6];
  const int version = atoi(argv[4]), qos = atoi(argv[5]);
  const int clean = atoi(option(argc, argv, "clean", "1"));

  MQTTClient client;
  MQTTClient_createOptions create = MQTTClient_createOptions_initializer;
  create.MQTTVersion = version == 5 ? MQTTVERSION_5 : MQTTVERSION_3_1_1;
  int code = MQTTClient_createWithOptions(&client, argv[2], argv[3], MQTTCLIENT_PERSISTENCE_NONE,
                                          NULL, &create);
  if (code != 0) return complain("create", code);

  MQTTClient_connectOptions options = MQTTClient_connectOptions_initializer;
  MQTTClient_connectOptions options5 = MQTTClient_connectOptions_initializer5;
  if (version == 5) options = options5;
  options.MQTTVersion = create.MQTTVersion;
  options.keepAliveInterval = 20;
  options.connectTimeout = 20;
  if (version == 5)
    options.cleanstart = clean;
  else
    options.cleansession = clean;
  MQTTClient_willOptions will = MQTTClient_willOptions_initializer;
  if (option(argc, argv, "will-topic", NULL) != NULL) {
    will.topicName = option(argc, argv, "will-topic", NULL);
    will.message = option(argc, argv, "will", "");
    will.qos = qos;
    options.will = &will;
  }
  MQTTClient_SSLOptions tls = MQTTClient_SSLOptions_initializer;
  if (option(argc, argv, "ca", NULL) != NULL) {
    tls.trustStore = option(argc, argv, "ca", NULL);
    tls.keyStore = option(argc, argv, "cert", NULL);
    tls.privateKey = option(argc, argv, "key", NULL);
    tls.verify = 1;
    options.ssl = &tls;
  }
  if (version == 5) {
    MQTTProperties properties = MQTTProperties_initializer;
    MQTTProperty expiry;
    expiry.identifier = MQTTPROPERTY_CODE_SESSION_EXPIRY_INTERVAL;
    expiry.value.integer4 = 600;
    if (!clean) MQTTProperties_add(&properties, &expiry);
    const MQTTResponse response = MQTTClient_connect5(client, &options, &properties, NULL);
    code = response.reasonCode;
    MQTTResponse_free(response);
  } else {
    code = MQTTClient_connect(client, &options);
  }
  if (code != 0) return complain("connect", code);

  int status = 0;
  if (strcmp(what, "pub") == 0) {
    status = publish(client, version, qos, topic, atoi(option(argc, argv, "retain", "0")));
  } else {
    if (version == 5) {
      const MQTTResponse response = MQTTClient_subscribe5(client, topic, qos, NULL, NULL);
      code = response.reasonCode;
      MQTTResponse_free(response);
      if (code != qos) return complain("subscribe", code);
    } else if ((code = MQTTClient_subscribe(client, topic, qos)) != 0) {
      return complain("subscribe", code);
    }
    printf("READY\n");
    fflush(stdout);
    const int count = strcmp(what, "hold") == 0 ? 1 << 30 : atoi(option(argc, argv, "count", "1"));
    status = receive(client, count);
  }
  if (version == 5)
    MQTTClient_disconnect5(client, 2000, MQTTREASONCODE_SUCCESS, NULL);
  else
    MQTTClient_disconnect(client, 2000);
  MQTTClient_destroy(&client);
  return status;
}
