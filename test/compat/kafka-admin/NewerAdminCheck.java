// What only the Java AdminClient from 4.1 on can do: configurations of groups. usage: NewerAdminCheck host:port
import java.util.*;
import org.apache.kafka.clients.admin.*;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.*;

public class NewerAdminCheck extends AdminCheck {
    public static void main(String[] args) throws Exception {
        bootstrap = args[0];
        try (Admin admin = Admin.create(client())) {
            groups(admin);
        }
        System.exit(failures > 0 ? 1 : 0);
    }

    static void groups(Admin admin) {
        check("configurations of groups are set and told", () -> {
            ConfigResource group = new ConfigResource(ConfigResource.Type.GROUP, "group." + RUN);
            alter(admin, group, op("consumer.session.timeout.ms", "50000", AlterConfigOp.OpType.SET));
            same("50000", config(admin, group, "consumer.session.timeout.ms").value());
            same("5000", config(admin, group, "consumer.heartbeat.interval.ms").value());
            that(admin.listConfigResources(Set.of(ConfigResource.Type.GROUP), new ListConfigResourcesOptions()).all().get().contains(group), group);
            fails(InvalidConfigurationException.class, () -> alter(admin, group, op("consumer.session.timeout.ms", "10", AlterConfigOp.OpType.SET)));
        });
    }
}
