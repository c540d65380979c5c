<?php
// A Symfony application in one file. The gateway asks /whoami who sent a request.

namespace Cars;

require 'Symfony/Bundle/FrameworkBundle/autoload.php';
require 'Symfony/Bundle/SecurityBundle/autoload.php';

use Symfony\Bundle\FrameworkBundle\FrameworkBundle;
use Symfony\Bundle\FrameworkBundle\Kernel\MicroKernelTrait;
use Symfony\Bundle\SecurityBundle\SecurityBundle;
use Symfony\Component\DependencyInjection\Loader\Configurator\ContainerConfigurator;
use Symfony\Component\HttpFoundation\RedirectResponse;
use Symfony\Component\HttpFoundation\Request;
use Symfony\Component\HttpFoundation\Response;
use Symfony\Component\HttpKernel\EventListener\AbstractSessionListener;
use Symfony\Component\HttpKernel\Kernel;
use Symfony\Component\Routing\Loader\Configurator\RoutingConfigurator;
use Symfony\Component\Security\Core\User\UserInterface;
use Symfony\Component\Security\Csrf\CsrfToken;
use Symfony\Component\Security\Csrf\CsrfTokenManagerInterface;
use Symfony\Component\Security\Http\Authentication\AuthenticationUtils;

const USERS = ['alice' => '7', 'bob' => '8'];

final class App extends Kernel
{
    use MicroKernelTrait;

    public function registerBundles(): iterable
    {
        return [new FrameworkBundle(), new SecurityBundle()];
    }

    protected function configureContainer(ContainerConfigurator $container): void
    {
        $container->extension('framework', [
            // SameSite: other sites cannot send a form with this cookie.
            'session' => [
                'storage_factory_id' => 'session.storage.factory.native',
                'name' => 'session',
                'cookie_samesite' => 'lax',
            ],
            'csrf_protection' => true,
        ]);
        $hash = password_hash('open sesame', PASSWORD_DEFAULT);
        $user = fn () => ['password' => $hash, 'roles' => ['ROLE_USER']];
        $container->extension('security', [
            'enable_authenticator_manager' => true,
            'password_hashers' => [UserInterface::class => 'auto'],
            'providers' => ['users' => ['memory' => ['users' => array_map($user, USERS)]]],
            'firewalls' => ['main' => [
                'form_login' => [
                    'login_path' => '/',
                    'check_path' => '/sign-in',
                    'username_parameter' => 'name',
                    'password_parameter' => 'password',
                    'enable_csrf' => true,
                ],
                'logout' => ['path' => '/sign-out', 'csrf_token_generator' => 'security.csrf.token_manager'],
            ]],
        ]);
        $container->services()->set(Pages::class)->public()->autowire()->tag('controller.service_arguments');
    }

    protected function configureRoutes(RoutingConfigurator $routes): void
    {
        $routes->add('home', '/')->controller([Pages::class, 'home'])->methods(['GET']);
        $routes->add('whoami', '/whoami')->controller([Pages::class, 'whoami'])->methods(['GET']);
        $routes->add('photo', '/photo')->controller([Pages::class, 'photo'])->methods(['POST']);
        // The firewall responds to these.
        $routes->add('sign-in', '/sign-in')->methods(['POST']);
        $routes->add('sign-out', '/sign-out')->methods(['POST']);
    }
}

final class Pages
{
    /** Says who sent the request, to the gateway. */
    public function whoami(?UserInterface $user): Response
    {
        if ($user === null) {
            return new Response(status: 401);
        }
        $name = $user->getUserIdentifier();
        $response = new Response(headers: ['X-User-Id' => USERS[$name], 'X-User-Name' => $name]);
        // Symfony forbids caching of responses that use the session, and the gateway would ask for each file.
        $response->headers->set(AbstractSessionListener::NO_AUTO_CACHE_CONTROL_HEADER, 'true');
        return $response->setPrivate()->setMaxAge(5);
    }

    public function photo(Request $request, ?UserInterface $user, CsrfTokenManagerInterface $tokens): Response
    {
        $photo = $request->files->get('photo');
        if ($user === null || !$photo?->isValid()) {
            return new Response(status: $user === null ? 401 : 400);
        }
        if (!$tokens->isTokenValid(new CsrfToken('photo', $request->request->get('_csrf_token')))) {
            return new Response(status: 403);
        }
        $folder = (getenv('PRIVATE_ROOT') ?: 'private') . '/cars/' . USERS[$user->getUserIdentifier()];
        is_dir($folder) || mkdir($folder, 0750, true);
        // A hidden name, which the gateway does not serve, until the photo is whole: PHP's upload folder may be on another disk.
        $temporary = $photo->move($folder, '.upload' . bin2hex(random_bytes(8)));
        chmod($temporary, 0640);
        rename($temporary, "$folder/photo.jpg");
        return new RedirectResponse('/', 303);
    }

    public function home(?UserInterface $user, CsrfTokenManagerInterface $tokens, AuthenticationUtils $authentication): Response
    {
        $form = fn (string $action, string $token, string $fields, string $button) => <<<HTML
            <form method="post" action="$action" enctype="multipart/form-data">
            <input type="hidden" name="_csrf_token" value="{$tokens->getToken($token)}">$fields<button>$button</button></form>
            HTML;
        if ($user === null) {
            $error = $authentication->getLastAuthenticationError() === null ? '' : '<p>wrong name or password</p>';
            $fields = '<input name="name"><input name="password" type="password">';
            $page = '<!doctype html><title>Cars</title>' . $error . $form('/sign-in', 'authenticate', $fields, 'Sign in');
            return new Response($page, $error === '' ? 200 : 401);
        }
        $name = htmlspecialchars($user->getUserIdentifier());
        $media = htmlspecialchars(getenv('MEDIA_URL') ?: 'http://127.0.0.1:8000/private/');
        $id = USERS[$user->getUserIdentifier()];
        return new Response("<!doctype html><title>Cars</title><p>$name</p>"
            . $form('/sign-out', 'logout', '', 'Sign out')
            . $form('/photo', 'photo', '<input type="file" name="photo">', 'Upload')
            . "<img src=\"{$media}cars/$id/photo.jpg\" alt=\"My car\">");
    }
}

$kernel = new App('prod', false);
$request = Request::createFromGlobals();
$response = $kernel->handle($request)->send();
$kernel->terminate($request, $response);
