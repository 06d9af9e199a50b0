import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.lang.reflect.InvocationTargetException;
import java.nio.ByteBuffer;
import java.util.Base64;
import org.apache.kafka.common.protocol.ByteBufferAccessor;
import org.apache.kafka.common.protocol.Message;
import org.apache.kafka.common.protocol.ObjectSerializationCache;

/**
 * Reads "name request|response version json" lines, writes "name request|response version base64":
 * what Kafka's client library makes of each message. "-" for a version that this library has not.
 */
public class Vectors {
    public static void main(String[] args) throws Exception {
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, "UTF-8"));
        ObjectMapper json = new ObjectMapper();
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            String[] parts = line.split(" ", 4);
            String kind = parts[1].equals("request") ? "RequestData" : "ResponseData";
            short version = Short.parseShort(parts[2]);
            String bytes = "-";
            try {
                String type = "org.apache.kafka.common.message." + parts[0] + kind;
                Message instance = (Message) Class.forName(type).getConstructor().newInstance();
                if (version >= instance.lowestSupportedVersion() && version <= instance.highestSupportedVersion()) {
                    Message message = (Message) Class.forName(type + "JsonConverter")
                        .getMethod("read", JsonNode.class, short.class)
                        .invoke(null, json.readTree(parts[3]), version);
                    ObjectSerializationCache cache = new ObjectSerializationCache();
                    ByteBuffer buffer = ByteBuffer.allocate(message.size(cache, version));
                    message.write(new ByteBufferAccessor(buffer), cache, version);
                    bytes = Base64.getEncoder().encodeToString(buffer.array());
                }
            } catch (ClassNotFoundException e) {
                bytes = "-";
            } catch (InvocationTargetException e) {
                System.err.println(line.substring(0, Math.min(200, line.length())) + " -> " + e.getCause());
            } catch (RuntimeException e) {
                System.err.println(line.substring(0, Math.min(200, line.length())) + " -> " + e);
            }
            System.out.println(parts[0] + " " + parts[1] + " " + parts[2] + " " + bytes);
        }
    }
}
